package server

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLimitsOfSemaphores(t *testing.T) {
	t.Parallel()
	const at = "/api/v1/sync/default"
	for kind, in := range map[string]struct{ body, query, again, missing, deleted string }{
		"config map": {`"cmName":"limits"`, "?cmName=limits", "sync limit cannot be created as it already exists", "key k not found in configmap default/limits - please create it first", "key k not found in configmap default/limits"},
		"database":   {`"type":1`, "?type=1", `Database sync limit already exists in namespace "default".`, `Database sync limit not found in namespace "default".`, `Database sync limit not found in namespace "default".`},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			limit := func(a answer) (l SyncLimit) {
				require.Equal(t, 200, a.status, a.body)
				require.NoError(t, json.Unmarshal([]byte(a.body), &l))
				return l
			}
			require.Equal(t, 404, ask(t, "GET", b.URL+at+"/k"+in.query, "").status)
			created := limit(ask(t, "POST", b.URL+at, `{"key":"k","limit":3,`+in.body+`}`))
			require.Equal(t, "default", created.Namespace)
			require.Equal(t, created, limit(ask(t, "GET", b.URL+at+"/k"+in.query, "")))

			again := ask(t, "POST", b.URL+at, `{"key":"k","limit":3,`+in.body+`}`)
			require.Equal(t, 409, again.status)
			require.Equal(t, in.again, again.Message)
			require.Equal(t, 5, limit(ask(t, "PUT", b.URL+at+"/k", `{"limit":5,`+in.body+`}`)).Limit)
			require.Equal(t, 5, limit(ask(t, "GET", b.URL+at+"/k"+in.query, "")).Limit)
			require.Equal(t, 400, ask(t, "PUT", b.URL+at+"/k", `{"limit":0,`+in.body+`}`).status)

			limit(ask(t, "POST", b.URL+at, `{"key":"other","limit":1,`+in.body+`}`))
			require.Equal(t, 200, ask(t, "DELETE", b.URL+at+"/k"+in.query, "").status)
			require.Equal(t, in.deleted, ask(t, "GET", b.URL+at+"/k"+in.query, "").Message)
			require.Equal(t, in.missing, ask(t, "PUT", b.URL+at+"/k", `{"limit":5,`+in.body+`}`).Message)
			require.Equal(t, 1, limit(ask(t, "GET", b.URL+at+"/other"+in.query, "")).Limit)
		})
	}
}
