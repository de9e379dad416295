// Package wire is what artifact driver plugins are asked, by gRPC. All but this file is made of
// artifact.proto, by make proto.
package wire
