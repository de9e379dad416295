package worker_test

import (
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"argosy/worker"
	"argosy/worker/executortest"
	"argosy/worker/handover"
)

// zombie is a pod of a delivery, which does what it can to have its output kept.
type zombie struct {
	*site
	parts *executortest.PartServer
	token string
	query url.Values
}

func newZombie(t *testing.T, delivery int, resolve func(context.Context, worker.Grant) (*worker.Step, error)) *zombie {
	t.Helper()
	z := &zombie{site: newSite(t, resolve), query: url.Values{}}
	z.parts = z.store.TakeParts(t)
	var err error
	z.token, err = z.gateway.Token(stepOf(z.step.Key, delivery), time.Now())
	require.NoError(t, err)
	return z
}

// ask asks for something at an output's parts.
func (z *zombie) ask(t *testing.T, method, artifact, body string, into any) int {
	t.Helper()
	status, text := z.do(t, method, "/v1/outputs/"+artifact+"/parts?"+z.query.Encode(), z.token, body)
	if into != nil && status == http.StatusOK {
		require.NoError(t, json.Unmarshal([]byte(text), into), text)
	}
	return status
}

// begin starts an output.
func (z *zombie) begin(t *testing.T) {
	t.Helper()
	var u handover.Upload
	require.Equal(t, http.StatusOK, z.ask(t, "POST", "out", "", &u))
	z.query.Set("id", u.ID)
}

// send sends a part, and returns the gateway's status and the store's answer.
func (z *zombie) send(t *testing.T, number, content string) (status int, etag string) {
	t.Helper()
	sum := md5.Sum([]byte(content))
	z.query.Set("number", number)
	z.query.Set("md5", base64.StdEncoding.EncodeToString(sum[:]))
	var to handover.Address
	if status = z.ask(t, "GET", "out", "", &to); status != http.StatusOK {
		return status, ""
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, to.URL, strings.NewReader(content))
	require.NoError(t, err)
	req.Header.Set("Content-Md5", z.query.Get("md5"))
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	return status, resp.Header.Get("ETag")
}

func (z *zombie) complete(t *testing.T, artifact string, etags ...string) int {
	t.Helper()
	body, err := json.Marshal(handover.Complete{ETags: etags})
	require.NoError(t, err)
	return z.ask(t, "PUT", artifact, string(body), nil)
}

func TestAnOutputComesInParts(t *testing.T) {
	t.Parallel()
	z := newZombie(t, 2, nil)
	z.begin(t)
	_, one := z.send(t, "1", "first ")
	_, two := z.send(t, "2", "second")
	require.Empty(t, z.store.Objects()["keys/out"], "nothing is there before it is complete")
	require.Equal(t, http.StatusNoContent, z.complete(t, "out", one, two))
	require.Equal(t, "first second", z.store.Objects()["keys/out"])
	require.Zero(t, z.parts.Open())
}

func TestPartsAreOfTheStepsOwnOutputs(t *testing.T) {
	t.Parallel()
	z := newZombie(t, 2, nil)
	z.begin(t)
	_, one := z.send(t, "1", "first")
	require.Equal(t, http.StatusBadRequest, z.complete(t, "in", one), "an input")
	require.Equal(t, http.StatusBadRequest, z.complete(t, "secret", one), "another's")
	require.Equal(t, http.StatusBadRequest, z.complete(t, "out"), "of nothing")
	for name, query := range map[string]url.Values{
		"no upload":       {"number": {"1"}, "md5": z.query["md5"]},
		"no number":       {"id": {"x"}, "md5": z.query["md5"]},
		"a number beyond": {"id": {"x"}, "number": {"10001"}, "md5": z.query["md5"]},
		"no sum":          {"id": {"x"}, "number": {"1"}},
		"climbing out":    {"id": {"x"}, "number": {"1"}, "md5": z.query["md5"], "object": {"../../secret"}},
	} {
		z.query = query
		require.Equal(t, http.StatusBadRequest, z.ask(t, "GET", "out", "", nil), name)
	}
	require.Equal(t, executortest.Tree{"keys/in": "input", "keys/secret": "another's"}, z.store.Objects())
}

func TestStoresWithoutPartsSayThatTheGatewayTakesAll(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	token, err := s.gateway.Token(s.step, time.Now())
	require.NoError(t, err)
	status, _ := s.do(t, "POST", "/v1/outputs/out/parts", token, "")
	require.Equal(t, http.StatusNotImplemented, status)
}

func TestAZombieNeverOverwritesTheWinner(t *testing.T) {
	t.Parallel()
	superseded := func(context.Context) error { return worker.ErrSuperseded }
	away := func(context.Context) error { return errors.New("connection refused") }
	takenOver := func(_ context.Context, g worker.Grant) (*worker.Step, error) { return nil, worker.ErrSuperseded }
	for name, c := range map[string]struct {
		counts  func(context.Context) error // what the queue says of the zombie's own delivery
		resolve func(context.Context, worker.Grant) (*worker.Step, error)
		winner  bool // its delivery is known to this gateway
		want    int
	}{
		"its successor is here":                         {winner: true, want: http.StatusConflict},
		"its worker was cut off":                        {counts: superseded, want: http.StatusConflict},
		"its worker was cut off, and another has it":    {counts: superseded, resolve: takenOver, want: http.StatusConflict},
		"nobody can tell, and it is to ask again later": {counts: away, resolve: takenOver, want: http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			z := newZombie(t, 2, c.resolve)
			z.begin(t)
			_, one := z.send(t, "1", "the zombie's")
			z.step.Counts = c.counts // the gateway has this very step
			z.store.Set("keys/out", "the winner's")
			if c.winner {
				defer z.gateway.Open(stepOf(z.step.Key, 3), nil)()
			}
			require.Equal(t, c.want, z.complete(t, "out", one))
			// Through the gateway, in one stream.
			status, _ := z.do(t, "PUT", "/v1/outputs/out", z.token, "the zombie's")
			require.Equal(t, c.want, status)
			require.Equal(t, "the winner's", z.store.Objects()["keys/out"])
			if c.winner {
				status, _ = z.send(t, "2", "more")
				require.Equal(t, http.StatusConflict, status, "it gets no more addresses")
				status, _ = z.do(t, "POST", "/v1/outputs/out/parts", z.token, "")
				require.Equal(t, http.StatusConflict, status)
				require.Equal(t, http.StatusNoContent, z.ask(t, "DELETE", "out", "", nil), "but may take back what it began")
			}
			if c.want == http.StatusConflict {
				require.Zero(t, z.parts.Open(), "nothing is left of it")
			}
		})
	}
}

func TestAZombieIsStoppedInTheMiddleOfAStream(t *testing.T) {
	t.Parallel()
	z := newZombie(t, 2, nil)
	r, w := io.Pipe()
	began, answer := make(chan struct{}), make(chan int, 1)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, z.server.URL+"/v1/outputs/out", r)
		if err != nil {
			t.Error(err)
		}
		req.Header.Set("Authorization", "Bearer "+z.token)
		resp, err := z.server.Client().Do(req)
		if err != nil {
			t.Error(err)
			answer <- 0
			return
		}
		resp.Body.Close()
		answer <- resp.StatusCode
	}()
	go func() {
		_, _ = io.WriteString(w, "the zombie's first half, ")
		close(began)
	}()
	<-began
	defer z.gateway.Open(stepOf(z.step.Key, 3), nil)()
	z.store.Set("keys/out", "the winner's")
	_, _ = io.WriteString(w, "and its second")
	require.NoError(t, w.Close())
	require.Equal(t, http.StatusConflict, <-answer)
	require.Equal(t, "the winner's", z.store.Objects()["keys/out"])
}

func TestAPodThatWasTakenOverIsNoZombie(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	step := stepOf("", 2)
	z := newZombie(t, 2, func(context.Context, worker.Grant) (*worker.Step, error) {
		asked.Add(1)
		return step, nil // another worker has it, with this pod
	})
	z.begin(t)
	_, one := z.send(t, "1", "the winner's")
	z.step.Counts = func(context.Context) error { return worker.ErrSuperseded }
	require.Equal(t, http.StatusNoContent, z.complete(t, "out", one))
	require.Equal(t, "the winner's", z.store.Objects()["keys/out"])
	require.EqualValues(t, 1, asked.Load())
}
