package resource

import (
	"strings"
	"time"

	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// flags are those of kubectl that mean something here. A template's flags are a command line.
type flags struct {
	namespace      string
	selector       string
	fieldSelector  string
	all            bool
	allNamespaces  bool
	ignoreNotFound bool
	force          bool
	now            bool
	wait           bool
	grace          int64
	timeout        time.Duration
	cascade        string
	dryRun         string
	validate       string
	manager        string
	serverSide     bool
	forceConflicts bool
	subresource    string
	args           []string // TYPE, NAMEs, or TYPE/NAMEs
}

func parseFlags(action string, given []string) (*flags, error) {
	f := &flags{}
	set := pflag.NewFlagSet("kubectl "+action, pflag.ContinueOnError)
	set.Usage = func() {}
	set.StringVarP(&f.namespace, "namespace", "n", "", "")
	set.StringVarP(&f.selector, "selector", "l", "", "")
	set.StringVar(&f.fieldSelector, "field-selector", "", "")
	set.BoolVar(&f.all, "all", false, "")
	set.BoolVarP(&f.allNamespaces, "all-namespaces", "A", false, "")
	set.BoolVar(&f.ignoreNotFound, "ignore-not-found", action == "delete", "")
	set.BoolVar(&f.force, "force", false, "")
	set.BoolVar(&f.now, "now", false, "")
	set.BoolVar(&f.wait, "wait", true, "")
	set.Int64Var(&f.grace, "grace-period", -1, "")
	set.DurationVar(&f.timeout, "timeout", 0, "")
	set.StringVar(&f.cascade, "cascade", "background", "")
	set.StringVar(&f.dryRun, "dry-run", "none", "")
	set.StringVar(&f.validate, "validate", "strict", "")
	set.StringVar(&f.manager, "field-manager", "argosy", "")
	set.BoolVar(&f.serverSide, "server-side", false, "")
	set.BoolVar(&f.forceConflicts, "force-conflicts", false, "")
	set.StringVar(&f.subresource, "subresource", "", "")
	// These change what kubectl writes or notes down.
	set.StringP("output", "o", "", "")
	set.Bool("record", false, "")
	set.Bool("save-config", false, "")
	set.Bool("overwrite", true, "")
	for name, bare := range map[string]string{"cascade": "background", "dry-run": "client", "validate": "strict"} {
		set.Lookup(name).NoOptDefVal = bare
	}
	if err := set.Parse(given); err != nil {
		return nil, refusef("error: %w", err)
	}
	f.args = set.Args()
	return f, nil
}

// dry is what a request says so that nothing is kept of it.
func (f *flags) dry() []string {
	if f.dryRun == "none" || f.dryRun == "" || f.dryRun == "false" {
		return nil
	}
	return []string{metav1.DryRunAll}
}

func (f *flags) validation() string {
	switch strings.ToLower(f.validate) {
	case "false", "ignore":
		return metav1.FieldValidationIgnore
	case "warn":
		return metav1.FieldValidationWarn
	}
	return metav1.FieldValidationStrict
}

func (f *flags) deletion() (metav1.DeleteOptions, error) {
	o := metav1.DeleteOptions{DryRun: f.dry()}
	switch f.cascade {
	case "background", "true":
		o.PropagationPolicy = new(metav1.DeletePropagationBackground)
	case "foreground":
		o.PropagationPolicy = new(metav1.DeletePropagationForeground)
	case "orphan", "false":
		o.PropagationPolicy = new(metav1.DeletePropagationOrphan)
	default:
		return o, refusef(`error: invalid cascade value (%s). Must be "background", "foreground", or "orphan"`, f.cascade)
	}
	switch {
	case f.now:
		o.GracePeriodSeconds = new(int64(1))
	case f.grace >= 0:
		o.GracePeriodSeconds = new(f.grace)
	case f.force:
		o.GracePeriodSeconds = new(int64(0))
	}
	return o, nil
}
