package main

import (
	"io"
	"sort"
	"time"
)

const firstRequests = 200 // that are not counted

// 64 bytes to the echo and back, one after the other on one stream.
func (d *dialler) requests(count int) error {
	s, err := d.open(echoProtocol)
	if err != nil {
		return err
	}
	var times []float64
	block := make([]byte, 64)
	for i := range firstRequests + count {
		begin := time.Now()
		if _, err := s.Write(block); err != nil {
			return err
		}
		if _, err := io.ReadFull(s, block); err != nil {
			return err
		}
		if i >= firstRequests {
			times = append(times, float64(time.Since(begin).Nanoseconds())/1000)
		}
	}
	sort.Float64s(times)
	d.out["request_us_p50"], d.out["request_us_p99"] = times[len(times)/2], times[len(times)*99/100]
	return s.Close()
}

// MiB/s of `count` streams beside each other, which share the bytes.
func (d *dialler) perfStreams(count, up, down uint64) (float64, error) {
	begin := time.Now()
	ended := make(chan error, count)
	for range count {
		go func() {
			_, err := d.perf(up/count, down/count)
			ended <- err
		}()
	}
	for range count {
		if err := <-ended; err != nil {
			return 0, err
		}
	}
	return float64(up+down) / (1 << 20) / time.Since(begin).Seconds(), nil
}
