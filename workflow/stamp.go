package workflow

import (
	"strconv"
	"time"

	"argosy/workflow/expr"
)

// annotationScheduledTime says when a schedule wanted the run to begin.
const annotationScheduledTime = "workflows.argoproj.io/scheduled-time"

// stamp is a form of a time: RFC3339, s for the seconds since 1970, or one of the letters
// that strftime has for a part of it.
func stamp(t time.Time, form string) (any, expr.State) {
	switch form {
	case "RFC3339":
		return t.Format(time.RFC3339), expr.Known
	case "s":
		return strconv.FormatInt(t.Unix(), 10), expr.Known
	case "L":
		return t.Format(".000")[1:], expr.Known
	}
	layout, ok := map[string]string{
		"Y": "2006", "y": "06", "B": "January", "b": "Jan", "m": "01", "d": "02", "A": "Monday", "a": "Mon",
		"H": "15", "I": "03", "p": "PM", "M": "04", "S": "05", "Z": "MST", "z": "-0700",
	}[form]
	if !ok {
		return nil, expr.Unknown
	}
	return t.Format(layout), expr.Known
}
