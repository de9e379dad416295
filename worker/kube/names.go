package kube

import (
	"crypto/sha256"
	"encoding/base32"
	"strconv"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"argosy/worker"
	"argosy/workflow"
)

// Labels and annotations of Jobs and pods.
const (
	labelManaged  = "argosy.dev/managed"  // the install
	labelRun      = "argosy.dev/run"      // the run's uid
	labelDelivery = "argosy.dev/delivery" // the delivery that made it
	labelWarm     = "argosy.dev/warm"     // the pool of a pod that stays
	labelWorkflow = "workflows.argoproj.io/workflow"

	annotationNode     = "argosy.dev/node" // the node's key
	annotationNodeName = "workflows.argoproj.io/node-name"
	annotationRestarts = "argosy.dev/restarts" // how often the pod was made anew before
	annotationNodeID   = "workflows.argoproj.io/node-id"
)

// Names of what a pod consists of.
const (
	mainContainer = "main"
	initContainer = "init"
	runnerVolume  = "argosy-runner"
	runnerDir     = "/var/run/argosy"
	runnerPath    = runnerDir + "/argosy-step"
	pauseVolume   = "argosy-pause"
	pauseDir      = "/var/run/argo" // handover.PauseDir is below it
	stageVolume   = "argosy-staging"
	stageDir      = "/argo/staging"
	warmVolume    = "argosy-warm"
	warmDir       = "/var/run/argosy-warm"
)

// hashLength is of the part of a Job's name that makes it unique: 65 bits.
const hashLength = 13

var hashEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// JobName is the name of a step's Job: what users recognise, then a hash of the run and the
// node's key.
func JobName(s *worker.Step) string {
	sum := sha256.Sum256([]byte(s.Run.ID + "\x00" + string(s.Key)))
	hash := hashEncoding.EncodeToString(sum[:])[:hashLength]
	prefix := s.Run.Name
	if t := s.Template.Name; t != "" && !strings.Contains(prefix, t) {
		prefix += "-" + t
	}
	// A Job's name becomes the value of a label of its pods.
	prefix = dnsLabel(prefix, validation.LabelValueMaxLength-hashLength-1)
	if prefix == "" {
		prefix = "step"
	}
	return prefix + "-" + hash
}

// dnsLabel makes the text fit to start a name.
func dnsLabel(text string, length int) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, text)
	text = strings.TrimLeft(text, "-0123456789")
	return strings.TrimRight(text[:min(len(text), length)], "-")
}

// isOf says that the Job was made for the step, by whatever delivery.
func isOf(job *batchv1.Job, s *worker.Step) bool {
	return job.Labels[labelRun] == s.Run.ID && job.Annotations[annotationNode] == string(s.Key)
}

// ofBefore says that the Job was made before the step's run was taken up again.
func ofBefore(job *batchv1.Job, s *worker.Step) bool {
	return deliveryOf(job)/workflow.LifeDeliveries != s.Delivery/workflow.LifeDeliveries
}

// deliveryOf is the delivery that made the Job.
func deliveryOf(job *batchv1.Job) int {
	n, err := strconv.Atoi(job.Labels[labelDelivery])
	if err != nil {
		return 1
	}
	return n
}
