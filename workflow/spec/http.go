package spec

import corev1 "k8s.io/api/core/v1"

// HTTP is a request; the answer's body is the result.
type HTTP struct {
	Method             string          `json:"method,omitempty"`
	URL                string          `json:"url"`
	Headers            HTTPHeaders     `json:"headers,omitempty"`
	TimeoutSeconds     *int64          `json:"timeoutSeconds,omitempty"`
	SuccessCondition   string          `json:"successCondition,omitempty"`
	Body               string          `json:"body,omitempty"`
	BodyFrom           *HTTPBodySource `json:"bodyFrom,omitempty"`
	InsecureSkipVerify bool            `json:"insecureSkipVerify,omitempty"`
}

// HTTPHeaders are the headers of a request.
type HTTPHeaders []HTTPHeader

// HTTPHeader is one header, literal or from a secret.
type HTTPHeader struct {
	Name      string            `json:"name"`
	Value     string            `json:"value,omitempty"`
	ValueFrom *HTTPHeaderSource `json:"valueFrom,omitempty"`
}

// HTTPHeaderSource is where a header gets its value.
type HTTPHeaderSource struct {
	SecretKeyRef *corev1.SecretKeySelector `json:"secretKeyRef,omitempty"`
}

// HTTPBodySource is where a request gets its body.
type HTTPBodySource struct {
	Bytes []byte `json:"bytes,omitempty"`
}
