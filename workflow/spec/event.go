package spec

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// WorkflowEventBinding submits a workflow when a matching event arrives.
type WorkflowEventBinding struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              WorkflowEventBindingSpec `json:"spec"`
}

// WorkflowEventBindingList is a page of event bindings.
type WorkflowEventBindingList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []WorkflowEventBinding `json:"items"`
}

// WorkflowEventBindingSpec joins an event to what it submits.
type WorkflowEventBindingSpec struct {
	Event  Event   `json:"event"`
	Submit *Submit `json:"submit,omitempty"`
}

// Event selects events by an expression over payload, metadata and discriminator.
type Event struct {
	Selector string `json:"selector"`
}

// Submit is what an event submits.
type Submit struct {
	WorkflowTemplateRef WorkflowTemplateRef `json:"workflowTemplateRef"`
	ObjectMeta          metav1.ObjectMeta   `json:"metadata,omitempty"`
	Arguments           *Arguments          `json:"arguments,omitempty"`
}
