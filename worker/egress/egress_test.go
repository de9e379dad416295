package egress

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAddressesOfTheMachineAndTheFleetAreRefused(t *testing.T) {
	t.Parallel()
	g := &Guard{Deny: []string{"10.1.2.3:6379"}}
	for address, refused := range map[string]bool{
		"127.0.0.1:80":           true,
		"[::1]:80":               true,
		"[::ffff:127.0.0.1]:80":  true,
		"0.0.0.0:80":             true,
		"[::]:80":                true,
		"169.254.169.254:80":     true,
		"[fe80::1%eth0]:80":      true,
		"224.0.0.1:80":           true,
		"255.255.255.255:80":     true,
		"10.1.2.3:6379":          true,
		"[::ffff:10.1.2.3]:6379": true,
		"10.1.2.3:80":            false,
		"10.1.2.4:6379":          false,
		"192.0.2.1:443":          false,
		"[2001:db8::1]:443":      false,
		"no address":             true,
	} {
		err := g.Check(t.Context(), address)
		require.Equal(t, refused, err != nil, "%s: %v", address, err)
		if refused {
			require.ErrorIs(t, err, ErrRefused, address)
		}
		require.NoError(t, (&Guard{Local: true, Deny: g.Deny}).Check(t.Context(), address))
	}
}

func TestNamesAndRedirectsDoNotLeadAroundTheGuard(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.Path }))
	defer server.Close()
	client := &http.Client{Transport: (&Guard{}).Transport(false)}
	for _, host := range []string{"127.0.0.1", "localhost", "127.1", "2130706433"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+server.URL[len("http://127.0.0.1"):], http.NoBody)
		require.NoError(t, err)
		answer, err := client.Do(request)
		if err == nil {
			answer.Body.Close()
		}
		require.Error(t, err, host)
	}
	require.Empty(t, asked)

	client.Transport = (&Guard{Local: true}).Transport(false)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/allowed", http.NoBody)
	require.NoError(t, err)
	answer, err := client.Do(request)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	require.Equal(t, "/allowed", <-asked)
}
