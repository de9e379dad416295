package queuetest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// Cluster is a Redis Cluster of three servers, which the tests of a package use one after
// the other: it takes two seconds to start.
type Cluster struct {
	start   func() ([]*Server, error)
	servers []*Server
	using   sync.Mutex
}

// NewCluster makes a Cluster that starts when it is used first.
func NewCluster() *Cluster {
	c := &Cluster{}
	c.start = sync.OnceValues(func() ([]*Server, error) {
		var err error
		c.servers, err = startCluster()
		return c.servers, err
	})
	return c
}

// Stop ends the cluster, if it was used.
func (c *Cluster) Stop() error {
	var errs []error
	for _, s := range c.servers {
		errs = append(errs, s.remove())
	}
	return errors.Join(errs...)
}

// Use gives the test an empty cluster for itself, and returns its URL.
func (c *Cluster) Use(t testing.TB) string {
	t.Helper()
	c.using.Lock()
	t.Cleanup(c.using.Unlock)
	servers, err := c.start()
	if err != nil {
		t.Fatal(err)
	}
	addrs := make([]string, len(servers))
	for i, s := range servers {
		addrs[i] = s.Addr
		if err := s.do("flushall"); err != nil {
			t.Fatal(err)
		}
	}
	return "redis+cluster://" + strings.Join(addrs, ",")
}

const slots = 16384

func startCluster() (servers []*Server, err error) {
	defer func() {
		if err != nil {
			for _, s := range servers {
				err = errors.Join(err, s.remove())
			}
		}
	}()
	const n = 3
	var buses []string
	for i := range n {
		bus, err := freePort()
		if err != nil {
			return servers, err
		}
		s, err := newServer("--cluster-enabled", "yes", "--cluster-port", strconv.Itoa(bus), "--appendonly", "no",
			"--cluster-require-full-coverage", "no")
		if err != nil {
			return servers, err
		}
		servers, buses = append(servers, s), append(buses, strconv.Itoa(bus))
		if err := s.do("cluster", "set-config-epoch", i+1); err != nil {
			return servers, err
		}
		if err := s.do("cluster", "addslotsrange", slots*i/n, slots*(i+1)/n-1); err != nil {
			return servers, err
		}
	}
	// Gossip would get there too, and take seconds.
	for _, s := range servers {
		for i, other := range servers {
			host, port, err := net.SplitHostPort(other.Addr)
			if err != nil {
				return servers, err
			}
			if err := s.do("cluster", "meet", host, port, buses[i]); err != nil {
				return servers, err
			}
		}
	}
	deadline := time.Now().Add(30 * time.Second)
	for _, s := range servers {
		for {
			ok, err := s.agrees(n)
			if err != nil {
				return servers, err
			}
			if ok {
				break
			}
			if time.Now().After(deadline) {
				return servers, errors.New("the servers do not become a cluster")
			}
			<-time.After(lookEvery)
		}
	}
	return servers, nil
}

// agrees says that the server sees the whole cluster.
func (s *Server) agrees(n int) (bool, error) {
	client := redis.NewClient(&redis.Options{Addr: s.Addr})
	defer client.Close()
	info, err := client.ClusterInfo(context.Background()).Result()
	if err != nil {
		return false, fmt.Errorf("asking %s for the state of its cluster: %w", s.Addr, err)
	}
	return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, fmt.Sprintf("cluster_slots_ok:%d", slots)) &&
		strings.Contains(info, fmt.Sprintf("cluster_size:%d", n)), nil
}

func (s *Server) do(args ...any) error {
	client := redis.NewClient(&redis.Options{Addr: s.Addr})
	defer client.Close()
	if err := client.Do(context.Background(), args...).Err(); err != nil {
		return fmt.Errorf("sending %v to %s: %w", args[0], s.Addr, err)
	}
	return nil
}

// Sentinels are a master and its replica, watched by a Sentinel.
type Sentinels struct {
	URL             string
	Master, Replica *Server
	Sentinel        *Server
}

// StartSentinels starts them until the test ends. The Sentinel takes a master for dead after
// a quarter of a second.
func StartSentinels(t testing.TB) *Sentinels {
	t.Helper()
	master := StartServer(t, "--repl-diskless-sync-delay", "0")
	host, port, err := net.SplitHostPort(master.Addr)
	if err != nil {
		t.Fatal(err)
	}
	replica := StartServer(t, "--replicaof", host+" "+port)
	// A Sentinel asks rarely: what it does not see at once it sees ten seconds later.
	await(t, func() bool {
		client := redis.NewClient(&redis.Options{Addr: replica.Addr})
		defer client.Close()
		return strings.Contains(client.Info(context.Background(), "replication").Val(), "master_link_status:up")
	})
	config := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor runs %s %s 1\nsentinel down-after-milliseconds runs 250\nsentinel failover-timeout runs 5000\n", host, port)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sentinel := StartServer(t, config, "--sentinel")
	s := &Sentinels{URL: "redis+sentinel://" + sentinel.Addr + "/runs", Master: master, Replica: replica, Sentinel: sentinel}
	client := redis.NewSentinelClient(&redis.Options{Addr: sentinel.Addr})
	defer client.Close()
	await(t, func() bool {
		found, err := client.Replicas(context.Background(), "runs").Result()
		return err == nil && len(found) == 1 && found[0]["master-link-status"] == "ok"
	})
	return s
}

// Replicated returns when the replica has what the master has.
func (s *Sentinels) Replicated(t testing.TB) {
	t.Helper()
	if err := s.Master.do("wait", 1, 10_000); err != nil {
		t.Fatal(err)
	}
}

func await(t testing.TB, done func() bool) {
	t.Helper()
	for !done() {
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(lookEvery):
		}
	}
}
