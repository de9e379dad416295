package queue

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// clusterLooks is how often a client looks anew which server of a cluster has which slots,
// beside when a server tells it: the time that a dead one's clients may take to find its
// replacement.
const clusterLooks = 5 * time.Second

// parseAddress reads where Redis is:
//
//	redis://[user:password@]host:port[/db]           one server; rediss:// is over TLS
//	unix://[user:password@]/path[?db=n]              one server's socket
//	redis+cluster://[user:password@]host:port,...    a cluster, by some of its servers
//	redis+sentinel://[user:password@]host:port,.../master[/db]
//
// The last one names Sentinels; user and password are the master's, and the Sentinels' own
// are sentinel_username and sentinel_password of the query. rediss+cluster and
// rediss+sentinel are over TLS. The query takes go-redis's options: read_timeout=500ms.
func parseAddress(text string) (*redis.UniversalOptions, error) {
	scheme, rest, _ := strings.Cut(text, "://")
	tls, kind, several := strings.Cut(scheme, "+")
	if !several {
		return parseOne(text)
	}
	if tls != "redis" && tls != "rediss" || kind != "cluster" && kind != "sentinel" {
		return nil, fmt.Errorf("%s:// is unknown", scheme)
	}
	rest, query, _ := strings.Cut(rest, "?")
	hosts, path, _ := strings.Cut(rest, "/")
	user := ""
	if i := strings.LastIndexByte(hosts, '@'); i >= 0 {
		user, hosts = hosts[:i+1], hosts[i+1:]
	}
	addrs := strings.Split(hosts, ",")
	for _, a := range addrs {
		if host, port, err := net.SplitHostPort(a); err != nil || host == "" || port == "" {
			return nil, fmt.Errorf("%q is not host:port", a)
		}
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, fmt.Errorf("reading the query: %w", err)
	}
	master, db, _ := strings.Cut(path, "/")
	switch {
	case kind == "cluster" && path != "":
		return nil, errors.New("a cluster has no databases")
	case kind == "sentinel" && master == "":
		return nil, errors.New("the master's name is missing after the Sentinels")
	}
	sentinelUser, sentinelPassword := values.Get("sentinel_username"), values.Get("sentinel_password")
	values.Del("sentinel_username")
	values.Del("sentinel_password")
	o, err := parseOne(tls + "://" + user + addrs[0] + "/" + db + "?" + values.Encode())
	if err != nil {
		return nil, err
	}
	o.Addrs = addrs
	if o.TLSConfig != nil {
		o.TLSConfig.ServerName = "" // that of each server
	}
	o.IsClusterMode = kind == "cluster"
	o.MasterName, o.SentinelUsername, o.SentinelPassword = master, sentinelUser, sentinelPassword
	return o, nil
}

func parseOne(text string) (*redis.UniversalOptions, error) {
	o, err := redis.ParseURL(text)
	var bad *url.Error
	if errors.As(err, &bad) {
		err = bad.Err // without the URL, which may hold a password
	}
	if err != nil {
		return nil, err
	}
	return &redis.UniversalOptions{
		Addrs: []string{o.Addr}, DB: o.DB, Username: o.Username, Password: o.Password, TLSConfig: o.TLSConfig,
		ClientName: o.ClientName, DialTimeout: o.DialTimeout, ReadTimeout: o.ReadTimeout, WriteTimeout: o.WriteTimeout,
		PoolFIFO: o.PoolFIFO, PoolSize: o.PoolSize, PoolTimeout: o.PoolTimeout,
		MinIdleConns: o.MinIdleConns, MaxIdleConns: o.MaxIdleConns, MaxActiveConns: o.MaxActiveConns,
		ConnMaxIdleTime: o.ConnMaxIdleTime, ConnMaxLifetime: o.ConnMaxLifetime,
	}, nil
}

// open makes a client; it connects when it is used first.
func open(o *redis.UniversalOptions) redis.UniversalClient {
	switch {
	case o.MasterName != "":
		return redis.NewFailoverClient(o.Failover())
	case o.IsClusterMode:
		cluster := o.Cluster()
		cluster.ClusterStateReloadInterval = clusterLooks
		cluster.DisableRoutingPolicies = true
		dial := dialer(o)
		cluster.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return onceConn{conn}, nil
		}
		return redis.NewClusterClient(cluster)
	}
	return redis.NewClient(o.Simple())
}

type dialFunc = func(ctx context.Context, network, addr string) (net.Conn, error)

// dialer is what connects to a server of o.
func dialer(o *redis.UniversalOptions) dialFunc {
	if o.Dialer != nil {
		return o.Dialer
	}
	timeout := o.DialTimeout
	if timeout == 0 {
		timeout = 5 * time.Second
	}
	return redis.NewDialer(&redis.Options{DialTimeout: timeout, TLSConfig: o.TLSConfig})
}

// onceConn hides of which kind a broken connection's error is. A cluster's client sends a
// command again after errors that it knows, even if only the answer was lost; a claim that
// is sent twice is a claim for nobody.
type onceConn struct{ net.Conn }

func (c onceConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return n, hide(err)
}

func (c onceConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	return n, hide(err)
}

func hide(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the connection broke: %v", err) //nolint:errorlint // see onceConn
}
