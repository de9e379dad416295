package kube

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"argosy/worker"
)

const (
	// consultAfter is how long a step waits before Kubernetes is asked for its reasons and the run
	// is told of them: nearly all have started by then.
	consultAfter = 5 * time.Second
	// consultEvery is how often that is repeated at most.
	consultEvery = 15 * time.Second
	eventsLogged = 10
)

// consult adds to the verdict on a step that waits what Kubernetes says of it in events: of a pod
// that is not made, of a volume that is not there.
func (f *following) consult(ctx context.Context, v verdict, pod *corev1.Pod, now time.Time) verdict {
	if v.stage != stagePending || v.waiting != waitsForPod && !strings.HasPrefix(v.waiting, podIs) {
		return v
	}
	uid, made := f.job.UID, f.job.CreationTimestamp.Time
	if pod != nil {
		uid, made = pod.UID, pod.CreationTimestamp.Time
	}
	if now.Sub(made) >= consultAfter && now.Sub(f.asked) >= consultEvery {
		f.asked, f.why = now, ""
		if events, err := f.ask(ctx, uid); err != nil {
			f.log.Debug("nobody says what the step waits for", "err", err)
		} else if len(events) > 0 {
			f.why = events[len(events)-1].Message
			if pod != nil { // as Argo has it
				f.why = events[len(events)-1].Reason + ": " + f.why
			}
		}
	}
	if f.why == "" {
		return v
	}
	v.waiting = f.why
	switch {
	case v.giveUp == nil:
	case strings.Contains(f.why, "exceeded quota"):
		v.giveUp = nil // others may end
	default:
		v.giveUp = worker.Faultf(v.giveUp.Class, "%w: %s", v.giveUp.Err, f.why)
	}
	return v
}

// tell tells the run what the step waits for, if that goes on for long, and that it started then.
// It says when to look again at the latest.
func (f *following) tell(ctx context.Context, v verdict, now time.Time, again time.Duration) time.Duration {
	want := f.waited
	switch {
	case f.step.Waits == nil, v.stage == stageEnded, v.stage == stageUnclear:
		return again
	case v.stage == stageRunning:
		want = ""
	default:
		began := f.job.CreationTimestamp.Time
		if wait := consultAfter - now.Sub(began); wait > 0 {
			return min(again, wait)
		}
		again = min(again, consultEvery)
		if v.waiting != "" && v.waiting != waitsForPod && !strings.HasPrefix(v.waiting, podIs) {
			want = v.waiting
		}
	}
	if want == f.waited {
		return again
	}
	if wait := consultEvery - now.Sub(f.toldAt); wait > 0 && want != "" {
		return min(again, wait)
	}
	f.toldAt = now
	if err := f.step.Waits(ctx, want); err != nil {
		f.log.Debug("what the step waits for is not told", "for", want, "err", err)
		return min(again, consultEvery)
	}
	f.waited = want
	return again
}

// logEvents writes what Kubernetes had to say of a step that did not end by itself into its log,
// where it stays when the pod is gone.
func (f *following) logEvents(ctx context.Context) {
	if f.step.Log == nil || f.step.Log == io.Discard {
		return
	}
	var all []*corev1.Event
	for _, uid := range f.uids {
		events, err := f.ask(ctx, uid)
		if err != nil {
			f.log.Debug("the events of a step's pod are not kept", "err", err)
			return
		}
		all = append(all, events...)
	}
	for _, e := range all[max(0, len(all)-eventsLogged):] {
		times := ""
		if e.Count > 1 {
			times = fmt.Sprintf(" (%d times)", e.Count)
		}
		if _, err := fmt.Fprintf(f.step.Log, "argosy: %s: %s%s\n", e.Reason, strings.TrimSpace(e.Message), times); err != nil {
			return
		}
	}
}
