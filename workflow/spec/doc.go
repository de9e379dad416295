// Package spec is the object model of Argo Workflows: the types of a workflow file, their
// strict decoding with positions, and the validation that runs before anything starts.
//
//	bytes --Parse--> []Document{Object, positions} --Validate--> warnings, errors
//	                                               --Unsupported--> what this engine cannot run yet
//
// Type and field names are those of Argo's Go API and JSON tags are Argo's exactly, so that a
// stored or served object is what Argo's tools expect. One file per kind or concern.
//
// The package is pure: callers hand it names and bytes.
package spec
