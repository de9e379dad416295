package simulate

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"argosy/workflow/spec"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func trace(t *testing.T, r *Runner, seed uint64) string {
	t.Helper()
	var b bytes.Buffer
	_, err := r.Run(seed, &b)
	require.NoError(t, err)
	return b.String()
}

func TestAllRulesHold(t *testing.T) {
	t.Parallel()
	sum, err := Many(t.Context(), 1, 300, 2, 1, nil)
	require.NoError(t, err)
	for _, o := range sum.Broken {
		r, err := NewRunner()
		require.NoError(t, err)
		defer r.Close()
		t.Errorf("seed %d: %v\n%s", o.Seed, o.Broken, trace(t, r, o.Seed))
	}
	require.Equal(t, 300, sum.Seeds)
	require.Greater(t, sum.Faults, 1000, "a simulation without faults shows nothing")
}

func TestASeedIsExecutedTheSameEachTime(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		// Another Runner has other maps, and one that has run has other leftovers.
		var traces []string
		for range 2 {
			r, err := NewRunner()
			require.NoError(t, err)
			defer r.Close()
			traces = append(traces, trace(t, r, seed), trace(t, r, seed))
		}
		require.NotEmpty(t, traces[0])
		for _, other := range traces[1:] {
			require.Equal(t, traces[0], other, "seed %d", seed)
		}
	}
}

func TestATraceChangesNothing(t *testing.T) {
	t.Parallel()
	r, err := NewRunner()
	require.NoError(t, err)
	defer r.Close()
	for seed := range uint64(20) {
		silent, err := r.Run(seed, nil)
		require.NoError(t, err)
		told, err := r.Run(seed, &bytes.Buffer{})
		require.NoError(t, err)
		require.Equal(t, silent, told)
	}
}

// TestMistakesAreFound puts mistakes into the scripts, one at a time.
func TestMistakesAreFound(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, script, right, wrong string
		within                     uint64 // seeds
		from                       uint64 // the first seed: one that finds a rare mistake soon
	}{
		{
			name: "a turn commits although another has begun", script: "commit",
			right: "if tonumber(meta[1]) ~= o.tok then\n  return 0\nend", within: 300,
		},
		{
			name: "a report is accepted whatever its delivery", script: "report",
			right: " or number ~= ARGV[2] or worker ~= ARGV[3]", within: 300,
		},
		{
			name: "a turn that ends does not see that something came in", script: "settle",
			right: "redis.call('HGET', KEYS[2], ARGV[3]) == '1'", wrong: "false", from: 600, within: 300,
		},
		{
			name: "a claim is granted while another worker holds the delivery", script: "hold",
			right: "if state ~= 'sent' and tonumber(expires) > now and holder ~= ARGV[3] then\n  return 'leased'\nend", within: 300,
		},
		{
			name: "a commit forgets what is to be sent", script: "commit",
			right: "redis.call('RPUSH', KEYS[4], number .. '|' .. s[2] .. '|' .. s[3])", within: 100,
		},
		{
			name: "a lost delivery is not looked for", script: "begin",
			right: "tonumber(expires) <= now", wrong: "false", within: 100,
		},
		{
			name: "items are accepted whatever their delivery", script: "items",
			right: " or number ~= ARGV[2] or worker ~= ARGV[3]", from: 2900, within: 1500,
		},
		{
			name: "the next worker of a chunk does not see what was recorded", script: "chunk",
			right: "redis.call('GETRANGE', KEYS[2], ARGV[3], ARGV[4])", wrong: "''", from: 600, within: 1000,
		},
		{
			name: "a daemon is not ended with its scope", script: "commit",
			right: "ipairs(o['end'] or {})", wrong: "ipairs({})", within: 300,
		},
		{
			name: "what is known of a schedule is not kept", script: "croncommit",
			right: "ARGV[3] + 1) .. ARGV[4]", wrong: "ARGV[3] + 1) .. '{}'", from: 9000000, within: 100,
		},
		{
			name: "a run that goes to the archive has no row", script: "archived",
			right: "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])", wrong: "", from: 9000000, within: 100,
		},
		{
			name: "a lock is granted to one too many", script: "lock",
			right: "if n + rank >= most then", wrong: "if n + rank > most then", within: 300,
		},
		{
			name: "a place is given to one too many", script: "place",
			right: "redis.call('SCARD', P .. 'held') >= limits.all", wrong: "redis.call('SCARD', P .. 'held') > limits.all", within: 300,
		},
		{
			name: "a cache has what nobody kept", script: "memo",
			right: "redis.call('HGET', KEYS[1], ARGV[1])", wrong: `'{"nodeID":"x","created":1}'`, within: 300,
		},
		{
			name: "a run that has a place is not known to have it", script: "place",
			right: "    r.state = 'held'\n    take(run, r)", wrong: "    free(run, r)", within: 300,
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, err := newRunner(func(name, source string) string {
				if name == "take" && !strings.Contains(source, test.right) || name != "take" && name != test.script {
					return source // take holds what it calls
				}
				require.Equal(t, 1, strings.Count(source, test.right), "the script has changed")
				return strings.Replace(source, test.right, test.wrong, 1)
			})
			require.NoError(t, err)
			defer r.Close()
			for i := range test.within {
				seed := test.from + i
				o, err := r.Run(seed, nil)
				require.NoError(t, err)
				if o.Broken != nil {
					t.Logf("seed %d: %v", seed, o.Broken)
					return
				}
			}
			t.Errorf("not found within %d seeds", test.within)
		})
	}
}

// TestGeneratedWorkflowsAreValid has the parser's rules say so.
func TestGeneratedWorkflowsAreValid(t *testing.T) {
	t.Parallel()
	kinds := map[string]int{}
	for seed := range uint64(700) {
		wf := generate(rand.New(rand.NewPCG(seed, 1)), seed%2 == 0)
		wf.APIVersion, wf.Kind, wf.Name = spec.APIVersion, spec.KindWorkflow, "wf"
		data, err := json.Marshal(wf)
		require.NoError(t, err)
		docs, err := spec.Parse("wf.json", data)
		require.NoError(t, err)
		_, err = spec.Validate(&docs[0], spec.Options{})
		require.NoError(t, err, "%s", data)
		for _, word := range []string{`"dag"`, `"steps"`, `"withItems"`, `"withParam"`, `"withSequence"`, `"when"`, `"depends"`, `"retryStrategy"`, `"continueOn"`, `"hooks"`, `"onExit"`, `"parallelism"`, `"target"`, `"backoff"`, `"daemon"`} {
			kinds[word] += strings.Count(string(data), word)
		}
	}
	for word, n := range kinds {
		require.Greater(t, n, 50, "%s is rare", word)
	}
}
