// Package cron decides for CronWorkflows: what is known of one and the time go in, what it
// does next comes out. It starts nothing itself and reads no clock.
//
//	state, fates of its runs, now --Decide--> state with Out, when to ask again
//
// Whoever commits a state does what its Out says and asks again; both may be repeated after a
// crash, since a run's id follows from the schedule and the tick.
package cron
