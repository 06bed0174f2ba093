// SPDX-License-Identifier: BSD-2-Clause

// The operations of bench/micro.c and the programs of bench/programs.c in Go: the same work, the
// same counts, the same lines of output. As process 1 of a Linux machine it powers off at the end.
// Arguments: the factors for the operations and for the programs.
package main

import (
	"fmt"
	"os"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

func since(t0 time.Time) float64      { return float64(time.Since(t0).Nanoseconds()) }
func per(t0 time.Time, n int) float64 { return since(t0) / float64(n) }
func ms(t0 time.Time) float64         { return since(t0) / 1e6 }

func report(name string, rounds, n int, fn func(n int) float64) {
	v := make([]float64, rounds)
	for i := range v {
		v[i] = fn(n)
	}
	sort.Float64s(v)
	fmt.Printf("%-24s %10.3f %10.3f\n", name, v[0], v[rounds/2])
}

// ---- operations ----

func pingpong(n int) float64 {
	a, b := make(chan int32), make(chan int32)
	go func() {
		for v := range a {
			b <- v
		}
		close(b)
	}()
	t0 := time.Now()
	for i := 0; i < n; i++ {
		a <- 0
		<-b
	}
	ns := per(t0, n)
	close(a)
	<-b
	return ns
}

func buffered(n int) float64 {
	c := make(chan int32, 100)
	t0 := time.Now()
	go func() {
		for i := 0; i < n; i++ {
			c <- int32(i)
		}
		close(c)
	}()
	for range c {
	}
	return per(t0, n)
}

func spawnJoin(n int) float64 {
	c := make(chan int32)
	send := func() { c <- 1 }
	t0 := time.Now()
	for i := 0; i < n; i++ {
		go send()
		<-c
	}
	return per(t0, n)
}

func gosched(goroutines int) func(int) float64 {
	return func(n int) float64 {
		var wg sync.WaitGroup
		each := n / goroutines
		wg.Add(goroutines)
		t0 := time.Now()
		for i := 0; i < goroutines; i++ {
			go func() {
				for k := 0; k < each; k++ {
					runtime.Gosched()
				}
				wg.Done()
			}()
		}
		wg.Wait()
		return per(t0, each*goroutines)
	}
}

func select4(n int) float64 {
	var c [4]chan int32
	for i := range c {
		c[i] = make(chan int32)
	}
	go func() {
		for i := 0; i < n; i++ {
			c[i&3] <- 0
		}
	}()
	t0 := time.Now()
	for i := 0; i < n; i++ {
		select {
		case <-c[0]:
		case <-c[1]:
		case <-c[2]:
		case <-c[3]:
		}
	}
	return per(t0, n)
}

func mutexUncontended(n int) float64 {
	var mu sync.Mutex
	t0 := time.Now()
	for i := 0; i < n; i++ {
		mu.Lock()
		mu.Unlock()
	}
	return per(t0, n)
}

func spawnMany(n int) float64 {
	var wg sync.WaitGroup
	t0 := time.Now()
	for i := 0; i < n; i++ {
		wg.Add(1)
		go wg.Done()
	}
	wg.Wait()
	return per(t0, n)
}

// ---- programs ----

func spawn100k(n int) float64 { return spawnMany(n) * float64(n) / 1e6 }

func mutex8(n int) float64 {
	var mu sync.Mutex
	var wg sync.WaitGroup
	shared := 0
	wg.Add(8)
	t0 := time.Now()
	for i := 0; i < 8; i++ {
		go func() {
			for k := n / 8; k > 0; k-- {
				mu.Lock()
				shared++
				mu.Unlock()
			}
			wg.Done()
		}()
	}
	wg.Wait()
	return per(t0, n)
}

func sieve(n int) float64 {
	t0 := time.Now()
	first := make(chan int32)
	var left int32 = int32(n)
	go func() {
		for i := int32(2); atomic.LoadInt32(&left) > 0; i++ {
			first <- i
		}
		close(first)
	}()
	c := first
	for ; atomic.LoadInt32(&left) > 0; atomic.AddInt32(&left, -1) {
		in, out, prime := c, make(chan int32), <-c
		go func() {
			for v := range in {
				if v%prime != 0 {
					out <- v
				}
			}
			close(out)
		}()
		c = out
	}
	took := ms(t0)
	for range c {
	}
	return took
}

func fib(n int) int {
	if n < 2 {
		return n
	}
	return fib(n-1) + fib(n-2)
}

func forkFib(n int) int {
	if n <= 20 {
		return fib(n)
	}
	var left int
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		left = forkFib(n - 1)
		wg.Done()
	}()
	right := forkFib(n - 2)
	wg.Wait()
	return left + right
}

func forkJoin(n int) float64 {
	t0 := time.Now()
	forkFib(n)
	return ms(t0)
}

func threadring(n int) float64 {
	const size = 503
	var ring [size]chan int
	done := make(chan int)
	for i := range ring {
		ring[i] = make(chan int)
	}
	for i := range ring {
		go func(at int) {
			for token := range ring[at] {
				if token == 0 {
					done <- at
				} else {
					ring[(at+1)%size] <- token - 1
				}
			}
		}(i)
	}
	t0 := time.Now()
	ring[0] <- n
	<-done
	took := ms(t0)
	for i := range ring {
		close(ring[i])
	}
	return took
}

func skynetNode(up chan int, first, leaves int) {
	if leaves == 1 {
		up <- first
		return
	}
	c := make(chan int, 10)
	for i := 0; i < 10; i++ {
		go skynetNode(c, first+i*leaves/10, leaves/10)
	}
	sum := 0
	for i := 0; i < 10; i++ {
		sum += <-c
	}
	up <- sum
}

func skynet(n int) float64 {
	t0 := time.Now()
	c := make(chan int, 1)
	go skynetNode(c, 0, n)
	<-c
	return ms(t0)
}

// ---- latencies ----

func sleeps(name string, n int) {
	over := make([]float64, n)
	for i := range over {
		t0 := time.Now()
		time.Sleep(time.Millisecond)
		over[i] = (since(t0) - 1e6) / 1e3
	}
	sort.Float64s(over)
	fmt.Printf("%s_p50 %16.3f %10.3f\n", name, over[n/2], over[n/2])
	fmt.Printf("%s_p99 %16.3f %10.3f\n", name, over[n*99/100], over[n*99/100])
}

var endless uint64

func loop() {
	for i := uint64(0); ; i++ {
		endless += i
	}
}

func factor(n int) float64 {
	if len(os.Args) > n {
		if f, err := strconv.ParseFloat(os.Args[n], 64); err == nil {
			return f
		}
	}
	return 1
}

func pick(small bool, a, b int) int {
	if small {
		return a
	}
	return b
}

func main() {
	f := factor(1)
	scaled := func(n int) int { return int(float64(n) * f) }
	report("chan_unbuf_pingpong", 7, scaled(20000), pingpong)
	report("chan_buf100_item", 7, scaled(100000), buffered)
	report("spawn_join", 7, scaled(20000), spawnJoin)
	report("gosched_2g", 7, scaled(100000), gosched(2))
	report("gosched_100g", 7, scaled(100000), gosched(100))
	report("select4", 7, scaled(20000), select4)
	report("mutex_uncontended", 7, scaled(200000), mutexUncontended)
	report("spawn_many", 7, scaled(5000), spawnMany)

	f = factor(2)
	small := f < 1
	report("spawn100k_join", 3, scaled(100000), spawn100k)
	report("mutex_8", 3, scaled(400000), mutex8)
	report("sieve1000", 3, scaled(1000), sieve)
	report("fib36cut20_forkjoin", 3, pick(small, 30, 36), forkJoin)
	report("threadring503_100k", 3, scaled(100000), threadring)
	report("skynet100k", 3, pick(small, 10000, 100000), skynet)
	sleeps("sleep1ms_over", pick(small, 50, 200))
	for i := 0; i < 4; i++ {
		go loop()
	}
	sleeps("preempt4_over", pick(small, 20, 100))
	fmt.Println("done")
	if os.Getpid() == 1 {
		syscall.Reboot(syscall.LINUX_REBOOT_CMD_POWER_OFF)
	}
}
