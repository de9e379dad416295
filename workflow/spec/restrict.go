package spec

import (
	"reflect"
	"slices"
	"strings"
)

// Restriction is what workflows have to be made of.
type Restriction string

// The restrictions, by Argo's names. A run keeps what it refers to as it was when it was
// submitted, so that both come to the same.
const (
	RestrictionNone   Restriction = ""
	RestrictionStrict Restriction = "Strict"
	RestrictionSecure Restriction = "Secure"
)

// Restrictions are all there are.
func Restrictions() []string {
	return []string{string(RestrictionNone), string(RestrictionStrict), string(RestrictionSecure)}
}

// ownFields are those that a workflow may have of its own over its WorkflowTemplate.
func ownFields() []string {
	return []string{
		"arguments", "entrypoint", "shutdown", "suspend", "activeDeadlineSeconds", "priority", "ttlStrategy", "podGC",
		"volumeClaimGC", "archiveLogs", "workflowMetadata", "workflowTemplateRef", "metrics", "artifactGC",
	}
}

// Check says why a workflow, as it was submitted, is not of a WorkflowTemplate alone.
func (r Restriction) Check(doc *Document) error {
	wf, ok := doc.Object.(*Workflow)
	if r == RestrictionNone || !ok {
		return nil
	}
	if wf.Spec.WorkflowTemplateRef == nil {
		return doc.Errorf("spec", "workflows must use workflowTemplateRef to be executed when the controller is in reference mode")
	}
	var errs ErrorList
	v, own := reflect.ValueOf(wf.Spec), ownFields()
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if !v.Field(i).IsZero() && !slices.Contains(own, name) {
			errs = append(errs, doc.Errorf("spec."+name, "%s is not permitted when using workflowTemplateRef with templateReferencing restriction: the WorkflowTemplate has to have it", name))
		}
	}
	return errs.err()
}
