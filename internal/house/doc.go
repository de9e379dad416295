// Package house holds the rules that the whole tree keeps, as tests: who may import whom,
// what the pure core may not do, how packages are documented, and that README, Makefile and
// manifests tell the truth.
package house
