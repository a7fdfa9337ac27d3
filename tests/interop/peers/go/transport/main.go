// transportpeer: a go-libp2p node that follows the environment of libp2p's own transport tests; see ../../README.md.
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	ma "github.com/multiformats/go-multiaddr"
)

func check(err error, doing string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "transportpeer: %s: %v\n", doing, err)
		os.Exit(1)
	}
}

func variable(name, other, fallback string) string {
	for _, one := range []string{name, other} {
		if value, ok := os.LookupEnv(one); ok {
			return value
		}
	}
	return fallback
}

// One command of Redis, and its answer where that is a string.
func redis(conn net.Conn, words ...string) (string, bool) {
	fmt.Fprintf(conn, "*%d\r\n", len(words))
	for _, word := range words {
		fmt.Fprintf(conn, "$%d\r\n%s\r\n", len(word), word)
	}
	reader := bufio.NewReader(conn)
	head, err := reader.ReadString('\n')
	check(err, "Redis")
	if head[0] == '-' {
		check(fmt.Errorf("%s", strings.TrimSpace(head)), "Redis")
	}
	size, err := strconv.Atoi(strings.TrimSpace(head[1:]))
	if head[0] != '$' || err != nil || size < 0 {
		return "", false
	}
	text := make([]byte, size+2)
	_, err = io.ReadFull(reader, text)
	check(err, "Redis")
	return string(text[:size]), true
}

func options(transport, security, ip string) []libp2p.Option {
	address := "/ip4/" + ip + "/tcp/0"
	switch transport {
	case "ws":
		address += "/ws"
	case "quic-v1":
		address = "/ip4/" + ip + "/udp/0/quic-v1"
	}
	chosen := []libp2p.Option{libp2p.ListenAddrStrings(address)}
	switch security {
	case "noise":
		chosen = append(chosen, libp2p.Security(noise.ID, noise.New))
	case "tls":
		chosen = append(chosen, libp2p.Security(tls.ID, tls.New))
	}
	return chosen
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func main() {
	testKey, isUnified := os.LookupEnv("TEST_KEY")
	tell, learn, key := "RPUSH", "LPOP", "listenerAddr"
	if isUnified {
		tell, learn, key = "SET", "GET", testKey+"_listener_multiaddr"
	}
	isDialer := variable("is_dialer", "IS_DIALER", "false") == "true"
	seconds, err := strconv.Atoi(variable("test_timeout_seconds", "TEST_TIMEOUT_SECS", "180"))
	check(err, "the time limit")
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(seconds)*time.Second)
	defer cancel()
	conn, err := net.Dial("tcp", variable("redis_addr", "REDIS_ADDR", "redis:6379"))
	check(err, "Redis")
	ip := variable("ip", "LISTENER_IP", "0.0.0.0")
	chosen := options(variable("transport", "TRANSPORT", ""), variable("security", "SECURE_CHANNEL", ""), ip)
	if isDialer {
		chosen = append(chosen, libp2p.NoListenAddrs)
	}
	host, err := libp2p.New(chosen...)
	check(err, "starting")
	defer host.Close()
	if !isDialer {
		redis(conn, tell, key, fmt.Sprintf("%s/p2p/%s", host.Addrs()[0], host.ID()))
		<-ctx.Done()
		return
	}
	text, ok := redis(conn, learn, key)
	for ; !ok && ctx.Err() == nil; text, ok = redis(conn, learn, key) {
		time.Sleep(50 * time.Millisecond)
	}
	check(ctx.Err(), "waiting for the listener")
	address, err := ma.NewMultiaddr(text)
	check(err, "its address")
	info, err := peer.AddrInfoFromP2pAddr(address)
	check(err, "its address")
	begin := time.Now()
	check(host.Connect(ctx, *info), "connecting")
	pong := <-ping.Ping(ctx, host, info.ID)
	check(pong.Error, "ping")
	took, rtt := milliseconds(time.Since(begin)), milliseconds(pong.RTT)
	if isUnified {
		fmt.Printf("latency:\n  handshake_plus_one_rtt: %.3f\n  ping_rtt: %.3f\n  unit: ms\n", took, rtt)
	} else {
		fmt.Printf("{\"handshakePlusOneRTTMillis\":%.3f,\"pingRTTMilllis\":%.3f}\n", took, rtt)
	}
}
