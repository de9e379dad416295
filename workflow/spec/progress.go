package spec

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const (
	// AnnotationProgress of a template's metadata is the progress that its steps start with, "0/100",
	// so that it is known from the start how much there is to do.
	AnnotationProgress = "workflows.argoproj.io/progress"
	// EnvProgressFile names the file in which a step says how far it is.
	EnvProgressFile = "ARGO_PROGRESS_FILE"
)

// Progress is done and all units of work: "3/7".
type Progress string

// ParseProgress reads the progress that a step tells, which has something to do.
func ParseProgress(text string) (done, total int, ok bool) {
	n, m, cut := strings.Cut(text, "/")
	done, err := strconv.Atoi(n)
	if !cut || err != nil {
		return 0, 0, false
	}
	total, err = strconv.Atoi(m)
	// What is beyond nobody counts, and sums of it stay sums.
	if err != nil || done < 0 || done > total || total <= 0 || total > 1<<31-1 {
		return 0, 0, false
	}
	return done, total, true
}

// LastProgress is the progress that the last line of a progress file tells, "" if it tells none.
func LastProgress(file string) Progress {
	file = strings.TrimSpace(file)
	line := strings.TrimSpace(file[strings.LastIndexByte(file, '\n')+1:])
	if _, _, ok := ParseProgress(line); !ok {
		return ""
	}
	return Progress(line)
}

// TellsProgress says that steps of the template tell their progress, as far as its text shows: it
// names the file for that, or says what they start with.
func (t *Template) TellsProgress() bool {
	if _, ok := t.Metadata.Annotations[AnnotationProgress]; ok {
		return true
	}
	if t.Script != nil && (strings.Contains(t.Script.Source, EnvProgressFile) || namesProgress(&t.Script.Container)) {
		return true
	}
	return t.Container != nil && namesProgress(t.Container)
}

func namesProgress(c *corev1.Container) bool {
	for _, texts := range [][]string{c.Command, c.Args} {
		for _, text := range texts {
			if strings.Contains(text, EnvProgressFile) {
				return true
			}
		}
	}
	for _, v := range c.Env {
		if v.Name == EnvProgressFile || strings.Contains(v.Value, EnvProgressFile) {
			return true
		}
	}
	return false
}
