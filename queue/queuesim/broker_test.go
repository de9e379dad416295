package queuesim_test

import (
	"testing"

	"argosy/queue"
	"argosy/queue/queuesim"
	"argosy/queue/queuetest"
)

func TestTheModelIsABroker(t *testing.T) {
	t.Parallel()
	queuetest.TestBroker(t, func(*testing.T) queue.Broker { return queuesim.NewBroker() })
}
