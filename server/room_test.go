package server

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestASubmitThatFindsNoRoomIsRefused(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		most     int
		fill     Fill
		accepted int // of three
		message  string
	}{
		"no bounds":            {0, Fill{Runs: 1e6, Used: 1 << 40}, 3, ""},
		"below the bounds":     {10, Fill{Runs: 7, Used: 1 << 20, Limit: 1 << 30}, 3, ""},
		"up to the most":       {10, Fill{Runs: 8}, 2, "10 workflows have not finished, of at most 10: "},
		"more than the most":   {10, Fill{Runs: 12}, 0, "12 workflows have not finished, of at most 10: "},
		"at the memory's most": {0, Fill{Used: 2<<30 + 5<<20 + 17, Limit: 2 << 30}, 0, "Redis uses 2053Mi of memory and takes no more workflows from 2Gi on: "},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.store.fill = test.fill
			b.service.room.most = test.most
			submit := func() answer {
				return ask(t, "POST", b.URL+"/api/v1/workflows/default", `{"workflow":`+hello(`{"generateName":"a-"}`)+`}`)
			}
			for i := range 3 {
				a := submit()
				if i < test.accepted {
					require.Equal(t, 200, a.status, a.Message)
					continue
				}
				require.Equal(t, 429, a.status)
				require.Equal(t, CodeExhausted, a.Code)
				require.Contains(t, a.Message, test.message)
				require.Contains(t, a.Message, "argosy submit --wait-for-room")
			}
			require.Len(t, b.store.runs, test.accepted)

			// As many have ended as came in.
			b.store.do(func() { b.store.fill.At = time.Unix(1, 0) })
			if a := submit(); test.accepted > 0 {
				require.Equal(t, 200, a.status, a.Message)
			}
		})
	}
}
