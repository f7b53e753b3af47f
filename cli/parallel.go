package main

import (
	"fmt"
	"sync"
)

// inParallel calls do(0) to do(n-1) from some workers, in order, and returns when all are done. A panic
// in one of them is a mistake of ours and comes back as an error.
func inParallel(n, workers int, do func(i int)) (err error) {
	turn := make(chan int)
	var once sync.Once
	guarded := func(i int) {
		defer func() {
			if fault := recover(); fault != nil {
				once.Do(func() { err = fmt.Errorf("BUG: %v: please report this with the command that led to it", fault) })
			}
		}()
		do(i)
	}
	var wg sync.WaitGroup
	for range min(n, workers) {
		wg.Go(func() {
			for i := range turn {
				guarded(i)
			}
		})
	}
	for i := range n {
		turn <- i
	}
	close(turn)
	wg.Wait()
	return err
}
