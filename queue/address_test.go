package queue

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func TestParseAddress(t *testing.T) {
	t.Parallel()
	tests := map[string]redis.UniversalOptions{
		"redis://localhost":               {Addrs: []string{"localhost:6379"}},
		"redis://u:p@a:1/3":               {Addrs: []string{"a:1"}, Username: "u", Password: "p", DB: 3},
		"unix:///tmp/s?db=2":              {Addrs: []string{"/tmp/s"}, DB: 2},
		"redis://a:1?read_timeout=300ms":  {Addrs: []string{"a:1"}, ReadTimeout: 300 * time.Millisecond},
		"redis+cluster://a:1":             {Addrs: []string{"a:1"}, IsClusterMode: true},
		"redis+cluster://u:p%2Fq@a:1,b:2": {Addrs: []string{"a:1", "b:2"}, IsClusterMode: true, Username: "u", Password: "p/q"},
		"redis+cluster://[::1]:1,b:2?pool_size=7": {
			Addrs: []string{"[::1]:1", "b:2"}, IsClusterMode: true, PoolSize: 7,
		},
		"redis+sentinel://a:1,b:2/runs": {Addrs: []string{"a:1", "b:2"}, MasterName: "runs"},
		"redis+sentinel://u:p@a:1/runs/4?sentinel_username=s&sentinel_password=t": {
			Addrs: []string{"a:1"}, MasterName: "runs", DB: 4, Username: "u", Password: "p",
			SentinelUsername: "s", SentinelPassword: "t",
		},
	}
	for url, want := range tests {
		got, err := parseAddress(url)
		require.NoError(t, err, url)
		require.Equal(t, &want, got, url)
	}
}

func TestParseAddressOverTLSChecksEachServersName(t *testing.T) {
	t.Parallel()
	for url, name := range map[string]string{
		"rediss://a:1": "a", "rediss+cluster://a:1,b:2": "", "rediss+sentinel://a:1/runs": "",
	} {
		got, err := parseAddress(url)
		require.NoError(t, err, url)
		require.NotNil(t, got.TLSConfig, url)
		require.Equal(t, name, got.TLSConfig.ServerName, url)
	}
}

func TestBadAddressIsRefused(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"http://localhost":                "invalid URL scheme",
		"redis+ring://a:1":                "redis+ring:// is unknown",
		"http+cluster://a:1":              "http+cluster:// is unknown",
		"redis+cluster://a":               `"a" is not host:port`,
		"redis+cluster://a:1,":            `"" is not host:port`,
		"redis+cluster://a:1/3":           "a cluster has no databases",
		"redis+sentinel://a:1":            "the master's name is missing",
		"redis+sentinel://a:1/runs/x":     "invalid database number",
		"redis+cluster://a:1?unknown=yes": "unexpected option",
		"redis+cluster://a:1?%zz":         "reading the query",
	} {
		_, err := parseAddress(url)
		require.ErrorContains(t, err, want, url)
	}
}

func TestBadAddressKeepsItsPassword(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"redis://u:secret@a:b", "redis+cluster://u:secret@a:1,b", "redis://u:secret%zz@a:1", "redis+cluster://u:secret%zz@a:1"} {
		_, err := parseAddress(url)
		require.Error(t, err, url)
		require.NotContains(t, err.Error(), "secret")
	}
}
