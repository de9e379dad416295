// Package e2e deploys all of Argosy on a Kubernetes and runs a workflow there. Its test needs
// a cluster: see `make test`, or
//
//	make cluster-up
//	eval "$(bin/devcluster env)"
//	go test -tags cluster ./deploy/e2e
//
// On another cluster than the development one, set ARGOSY_E2E_IMAGES=there once its nodes
// have the images argosy:latest, redis:7, minio/minio:latest, argosy-ci-builder:latest, python:3 and
// busybox:latest, and ARGOSY_DEVCLUSTER_HOST to the address at which its pods reach this machine.
package e2e
