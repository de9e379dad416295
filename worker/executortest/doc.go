// Package executortest is what every worker.Executor must do, whatever it runs steps on.
//
// An implementation's test hands Run a function that makes the executor, decorated as it is
// in production, over the artifact store that it is given. The steps are small shell scripts
// and need nothing but a POSIX shell and the usual tools.
package executortest
