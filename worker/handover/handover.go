// Package handover is what a worker and the runner in a step's pod (argosy-step) say to each
// other. It is all that they share, and needs the standard library alone, as the runner must
// stay small.
//
//	worker --Plan, in the pod's environment or from the gateway--> runner
//	worker <-------- artifacts, by HTTP through the gateway ------> runner
//	store  <-------- large outputs, in parts, if it takes them ---- runner
//	worker <--Outcome, as the container's termination message, ---- runner
//	          or by the gateway when it is large
package handover

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Environment of a step's container that only the runner sees: it takes these away before
// it starts the user's command.
const (
	EnvPlan    = "ARGOSY_STEP_PLAN"    // Plan as JSON; absent if the gateway has it
	EnvGateway = "ARGOSY_STEP_GATEWAY" // base URL
	EnvKey     = "ARGOSY_STEP_KEY"     // KeySum of the gateway's key, if it is reached by TLS
	EnvToken   = "ARGOSY_STEP_TOKEN"   // bearer token for the gateway
	EnvMessage = "ARGOSY_STEP_MESSAGE" // file for the termination message, if not the usual one
	EnvSet     = "ARGOSY_STEP_SET"     // Set as JSON, of a container that is one of a set
	EnvPrefix  = "ARGOSY_STEP_"
)

// Variables of a container that Argo has, too: "true" has it wait before or after its command, until
// there is the file "before" or "after" in a directory of PauseDir with the container's name.
const (
	EnvPauseBefore = "ARGO_DEBUG_PAUSE_BEFORE"
	EnvPauseAfter  = "ARGO_DEBUG_PAUSE_AFTER"
	PauseDir       = "/var/run/argo/ctr"
	MainContainer  = "main"
)

// Paths of the gateway, below its base URL. The token says whose step it is.
const (
	PathPlan    = "/v1/plan"           // GET
	PathInput   = "/v1/inputs/{name}"  // GET, ?object=
	PathOutput  = "/v1/outputs/{name}" // PUT, ?object=
	PathOutcome = "/v1/outcome"        // PUT
	PathTells   = "/v1/progress"       // PUT, "N/M"
)

// PathParts is for a large output, which goes to the store itself, in parts, by addresses that the
// gateway signs. Each is for one content, and not for long. Only the gateway makes one object of them.
//
//	POST   PathParts ?object=                  -> Upload; 501: put it through the gateway
//	GET    PathParts ?object=&id=&number=&md5= -> Address of a part
//	PUT    PathParts ?object=&id=  Complete    -> all of it is there
//	DELETE PathParts ?object=&id=              -> nothing of it is
const PathParts = "/v1/outputs/{name}/parts"

// Upload is an output that was begun.
type Upload struct {
	ID string `json:"id"`
}

// Address is where a part is to be put, with its MD5 sum as Content-MD5.
type Address struct {
	URL string `json:"url"`
}

// Complete is what the store answered to the parts, in order.
type Complete struct {
	ETags []string `json:"etags"`
}

// PartSize is how large the part of a number from 1 on is, unless it is the last one. The runner
// holds one in memory. S3 takes 10,000 of them: these are 218 GiB.
func PartSize(number int) int {
	switch {
	case number > 8000:
		return 64 << 20
	case number > 4000:
		return 16 << 20
	}
	return 8 << 20
}

// MaxParts is how many parts an object may have.
const MaxParts = 10_000

const (
	// EnvProgress names the file in which the command may say how far it is, in its last line.
	EnvProgress = "ARGO_PROGRESS_FILE"
	// MaxProgress is how much of the end of that file is read.
	MaxProgress = 4 << 10
	// MaxPlanEnv is how large a Plan may be to travel in the environment: one variable may
	// have 128 KiB, and the pod's object has to stay small.
	MaxPlanEnv = 32 << 10
	// MaxMessage is what Kubernetes keeps of a container's termination message.
	MaxMessage = 4096
	// MaxOutcome bounds what the gateway takes as an outcome.
	MaxOutcome = 32 << 20
	// MaxResult is how much of stdout becomes the result.
	MaxResult = 256 << 10
	// RunnerExitCode is what the runner exits with when it failed and not the command.
	RunnerExitCode = 64
)

// Plan is what the runner does around the user's command.
type Plan struct {
	ScriptPath string `json:"scriptPath,omitempty"`
	Script     string `json:"script,omitempty"`

	Inputs     []Input     `json:"inputs,omitempty"`
	Parameters []Parameter `json:"parameters,omitempty"`
	Outputs    []Output    `json:"outputs,omitempty"`
	Result     bool        `json:"result,omitempty"` // capture stdout
}

// Set is a container's place in a set of containers, each of which has a runner. They tell each
// other how they ended by files in a directory that they share.
type Set struct {
	Name string `json:"name"`
	Dir  string `json:"dir"`
	// After are the containers that must have succeeded before this one's command runs.
	After []string `json:"after,omitempty"`
	// Others are the containers whose end is awaited before outputs are collected.
	Others []string `json:"others,omitempty"`
	Tries  int      `json:"tries,omitempty"` // how often the command is run at most; 0 is once
	Pause  int64    `json:"pause,omitempty"` // milliseconds between tries
}

// Input is an artifact to stage before the command runs.
type Input struct {
	Name string `json:"name"`
	Path string `json:"path"`
	// Raw is the content of a raw artifact. Otherwise the gateway streams the objects.
	Raw      *string  `json:"raw,omitempty"`
	Objects  []string `json:"objects,omitempty"` // one empty name, or the files of a directory
	Missing  bool     `json:"missing,omitempty"` // optional, and not there
	Archive  string   `json:"archive,omitempty"` // "none", "tar", "zip"; empty is for the content to tell
	Mode     *int32   `json:"mode,omitempty"`
	Recurse  bool     `json:"recurse,omitempty"`
	Optional bool     `json:"optional,omitempty"`
}

// Parameter is an output parameter that is read from a file.
type Parameter struct {
	Name    string  `json:"name"`
	Path    string  `json:"path"`
	Default *string `json:"default,omitempty"`
}

// Output is an artifact to keep when the command has ended.
type Output struct {
	Name     string `json:"name"`
	Path     string `json:"path"`
	Archive  string `json:"archive"` // "none", "tar", "zip"
	Level    *int32 `json:"level,omitempty"`
	Optional bool   `json:"optional,omitempty"`
}

// Outcome is what the runner tells when all is over.
type Outcome struct {
	Code       int               `json:"code"`              // of the command; 128 plus the signal that killed it
	Message    string            `json:"message,omitempty"` // why it could not be started, or what it says itself
	Result     *string           `json:"result,omitempty"`
	Parameters map[string]string `json:"parameters,omitempty"`
	Artifacts  []string          `json:"artifacts,omitempty"` // names of those kept
	Progress   string            `json:"progress,omitempty"`  // what the command told last
	Fault      *Fault            `json:"fault,omitempty"`
	// Times are when the runner began, when the command started, when it ended, and when what it left
	// was collected, in milliseconds since 1970: as many of them as there were.
	Times []int64 `json:"times,omitempty"`
	// Waited says that the command was not run, as a container that it waits for failed.
	Waited bool `json:"waited,omitempty"`
	// Elsewhere is set in a termination message whose outcome was too large for it: the
	// SHA-256 of the one that the gateway has.
	Elsewhere string `json:"elsewhere,omitempty"`
}

// Fault is a failure that is not the command's.
type Fault struct {
	Class   string `json:"class"`
	Message string `json:"message"`
}

// magic starts a termination message of ours; the user's command may write its own.
const magic = "argosy-step:"

// Encode returns the outcome as a termination message. If that is too large for one, large
// is what the gateway has to take, and message refers to it.
func (o *Outcome) Encode() (message, large []byte, err error) {
	data, err := json.Marshal(o)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding the outcome: %w", err)
	}
	if len(magic)+len(data) <= MaxMessage {
		return append([]byte(magic), data...), nil, nil
	}
	ref := Outcome{Code: o.Code, Elsewhere: Sum(data)}
	short, err := json.Marshal(&ref)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding the outcome's reference: %w", err)
	}
	return append([]byte(magic), short...), data, nil
}

// Decode reads a termination message. ok is false if it is not one of ours.
func Decode(message string) (o *Outcome, ok bool) {
	if len(message) < len(magic) || message[:len(magic)] != magic {
		return nil, false
	}
	o = &Outcome{}
	if json.Unmarshal([]byte(message[len(magic):]), o) != nil {
		return nil, false
	}
	return o, true
}

// Sum is the SHA-256 of an encoded outcome, in hex.
func Sum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
