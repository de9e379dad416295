package queue

import (
	"fmt"
	"hash/fnv"
	"strconv"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// Every key that this package uses, by slot. asynq's own are at the end.

// shards is the number of due sets that runs are spread over. Every process must agree on it.
const shards = 8

// A run's slot.

func runTag(id string) string    { return "{r:" + id + "}:" }
func runKey(id string) string    { return runTag(id) + "run" }    // string: digest and Run JSON; never changes
func stateKey(id string) string  { return runTag(id) + "state" }  // string: version and State JSON, from the first commit on
func metaKey(id string) string   { return runTag(id) + "meta" }   // hash, from the first turn on: see begin.lua, commit.lua
func nodesKey(id string) string  { return runTag(id) + "nodes" }  // hash: key -> Node JSON
func inKey(id string) string     { return runTag(id) + "in" }     // list: Event JSON, not yet applied
func outKey(id string) string    { return runTag(id) + "out" }    // list: number|queue|key, or Orders JSON: committed and not yet sent or done
func flyKey(id string) string    { return runTag(id) + "fly" }    // hash: key -> state|number|expiry|queue|worker
func timersKey(id string) string { return runTag(id) + "timers" } // zset: name|key by millis
func logsKey(id string) string   { return runTag(id) + "logs" }   // set: the run's live log streams

// loopsKey is a set of the keys that the chunked loops of a run have for themselves.
func loopsKey(id string) string { return runTag(id) + "loops" }
func hostsKey(id string) string { return runTag(id) + "hosts" } // hash: host -> position, as item records name it

// packedKey is a string with workflow.ItemSize bytes for each item of a chunked loop.
func packedKey(id string, loop workflow.Key) string {
	return runTag(id) + "g:" + strconv.FormatUint(hash64(string(loop)), 16)
}

// extrasKey is a hash: item -> what its record has no room for, JSON.
func extrasKey(id string, loop workflow.Key) string {
	return runTag(id) + "x:" + strconv.FormatUint(hash64(string(loop)), 16)
}

// goneKey is a string, for a while, that says that the run was and is not any more.
func goneKey(id string) string { return runTag(id) + "gone" }

// restoringKey is a string, for a while, that names who brings the run back from the archive.
func restoringKey(id string) string { return runTag(id) + "restoring" }

func logKey(id string, k workflow.Key) string {
	return runTag(id) + "log:" + strconv.FormatUint(hash64(string(k)), 16)
}

// A shard's slot.

func shardOf(id string) int {
	h := fnv.New32a()
	h.Write([]byte(id))
	return int(h.Sum32() % shards)
}

func dueKey(shard int) string   { return fmt.Sprintf("due:{%d}", shard) }   // zset: run by the millis of its next turn
func endedKey(shard int) string { return fmt.Sprintf("ended:{%d}", shard) } // zset: run by the millis at which it got no next turn
func takenKey(shard int) string { return fmt.Sprintf("taken:{%d}", shard) } // hash: run -> 0 | 1, see ring.lua

// laterKey is a zset like due, of what is no run that goes on: schedules, and runs that have
// ended and are to be deleted. Claim moves what is in it to due when its time has come.
func laterKey(shard int) string { return fmt.Sprintf("later:{%d}", shard) }

// turnsBell is a list with the shard of each run that came due, for coordinators to wait at.
const turnsBell = "turns:bell"

// maxTurnRings bounds the rings that nobody has heard yet.
const maxTurnRings = 512

// A namespace's slots, and keys of their own.

func namesKey(ns string) string { return "names:{" + ns + "}" } // hash: name -> run
func indexKey(ns string) string { return "runs:{" + ns + "}" }  // zset: run by millis of creation

// estimatesKey is a hash: kind of runs -> Estimate JSON.
func estimatesKey(ns string) string { return "estimates:{" + ns + "}" }

const (
	namespacesKey = "{all}:namespaces" // set
	specsKey      = "{all}:specs"      // set: digests
	cachesKey     = "{all}:caches"     // set: NAMESPACE/NAME of caches that may hold some memos
	sweepingKey   = "{all}:sweeping"   // string, for a while: somebody swept the specs
	identityKey   = "{all}:identity"   // string: what tells this Redis from others
)

// archivedKeys are, in a namespace's slot, of the runs that are archived: a hash: run -> row JSON; zsets:
// run by millis of creation, "NAME RUN" all of one score, and run by millis of its end; and a hash:
// label=value -> how many have it.
func archivedKeys(ns string) (rows, created, names, ended, labels string) {
	rows = "archived:{" + ns + "}"
	return rows, rows + ":created", rows + ":names", rows + ":ended", rows + ":labels"
}

// keptKey is a zset: run by the millis of its end, of those that ended in a phase and are to
// be deleted when too many are newer.
func keptKey(phase spec.WorkflowPhase) string { return "kept:{" + string(phase) + "}" }

// An object's kind and namespace have a slot.

// objectsKey is a hash: name -> version|JSON; and a string that counts its versions.
func objectsKey(kind, ns string) (objects, counter string) {
	objects = "objects:{" + kind + "/" + ns + "}"
	return objects, objects + ":version"
}

// schedulesKey are hashes by name. states -> version|JSON, what coordinators know of CronWorkflows;
// done -> how often what such a state wants was done, for as long as it wants it.
func schedulesKey(ns string) (objects, states, done string) {
	objects, _ = objectsKey(spec.KindCronWorkflow, ns)
	return objects, objects + ":states", objects + ":done"
}

func kindKey(kind string) string { return "objects:" + kind } // set: namespaces that may have some

// The locks' slot, one for all: what a run asks for at once it gets at once or not.

// locksPrefix begins the keys of lock.lua:
//
//	h:LOCK   hash: run|key -> the holder as others call it
//	w:LOCK   zset of what waits: order|run|key, all of one score
//	r:RUN    hash: key -> what it has or wants, JSON
//	limits   hash: lock -> limit|version
//	tokens   hash: run -> token of the turn that said something last
//	seen     zset: run by the millis when that was
//	unsure   zset: run|key by the millis when it was granted, until the run has taken it
//	seq      string: counts what is asked for
const locksPrefix = "{locks}:"

// placesPrefix begins the keys of place.lua, of a slot of their own:
//
//	runs     hash: run -> wait, granted or held|namespace|member of w
//	w:NS     zset of those that wait in a namespace: order|run|key, all of one score
//	spaces   set: namespaces in which some may wait
//	h:NS     set: runs that have a place; held is all of them
//	limits   string: PlaceLimits JSON
//	tokens, seen, unsure: as of locks; seen is of those that have a place
const placesPrefix = "{places}:"

// memosKeys are, in the slot of a namespace's cache, NAMESPACE/NAME, a hash: key -> Memo JSON, and a
// zset: key by the millis when it was wanted last.
func memosKeys(cache string) []string {
	memos := "memos:{" + cache + "}"
	return []string{memos, memos + ":wanted"}
}

// A spec's slot.

func specKey(digest string) string   { return "spec:{" + digest + "}" }        // string: spec JSON
func unusedKey(digest string) string { return "spec:{" + digest + "}:unused" } // string: the millis at which no run had it

// changedChannel carries the version of each commit of the run.
func changedChannel(id string) string { return "run:" + id }

// A pool's slot.

func poolBellKey(pool string) string { return "bell:{" + pool + "}" }  // list: one entry a ring
func slotsKey(pool string) string    { return "slots:{" + pool + "}" } // hash: server -> slots|expiry
func waitKey(pool string) string     { return "wait:{" + pool + "}" }  // hash: run -> what it has waiting|expiry

// asynq's, in the slot of a queue, see queueOf. The normal one's is the pool's.

func pendingKey(queue string) string { return "asynq:{" + queue + "}:pending" } // list of task ids
func pausedKey(queue string) string  { return "asynq:{" + queue + "}:paused" }
func activeKey(queue string) string  { return "asynq:{" + queue + "}:active" } // list of task ids
func leaseKey(queue string) string   { return "asynq:{" + queue + "}:lease" }  // zset: task id by seconds
func taskPrefix(queue string) string { return "asynq:{" + queue + "}:t:" }     // hash: msg, state, pending_since
func retryKey(queue string) string   { return "asynq:{" + queue + "}:retry" }  // zset of task ids

const queuesKey = "asynq:queues" // set: every queue that something was ever sent to

func hash64(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}

// ItemKeys are the keys of a chunked loop's records and extras, for whoever looks at a Redis
// from outside.
func ItemKeys(id string, loop workflow.Key) (records, extras string) {
	return packedKey(id, loop), extrasKey(id, loop)
}
