package worker

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"argosy/workflow"
	"argosy/workflow/spec"
)

// SetRetries reads how often the command of a set's container is run at most, and the pause
// before each further time.
func SetRetries(r *spec.ContainerSetRetryStrategy) (tries int, pause time.Duration, err error) {
	if r == nil {
		return 1, 0, nil
	}
	if r.Retries != nil {
		if tries, err = strconv.Atoi(r.Retries.String()); err != nil || tries < 0 {
			return 0, 0, fmt.Errorf("containerSet.retryStrategy.retries %q is not a whole number", r.Retries.String())
		}
	}
	if r.Duration != "" {
		if pause, err = time.ParseDuration(r.Duration); err != nil {
			return 0, 0, fmt.Errorf("reading containerSet.retryStrategy.duration: %w", err)
		}
	}
	return tries + 1, pause, nil
}

// Named has a result speak of another container than main.
func Named(name string, r workflow.Result) workflow.Result {
	if rest, ok := strings.CutPrefix(r.Message, MainContainer+":"); ok {
		r.Message = name + ":" + rest
	}
	return r
}
