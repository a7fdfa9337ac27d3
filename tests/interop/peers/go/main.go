// gopeer: a go-libp2p node that tests talk to; flags and output are those of ../README.md.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	web "crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"sort"
	"strings"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	tls "github.com/libp2p/go-libp2p/p2p/security/tls"
	quic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	echoProtocol  = "/echo/1.0.0"
	resetProtocol = "/interop/reset/1.0.0"
	perfProtocol  = "/perf/1.0.0"
	streamsBytes  = 15_000_000       // of all of --streams
	patience      = 60 * time.Second // for any one thing that the dialler does
)

type result map[string]any

func check(err error, doing string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "gopeer: %s: %v\n", doing, err)
		os.Exit(1)
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// Puts the least and the median of what was measured under NAME_min and NAME_median.
func (r result) times(name string, times []float64) {
	if len(times) == 0 {
		return
	}
	sort.Float64s(times)
	r[name+"_min"], r[name+"_median"] = times[0], times[len(times)/2]
}

func newIdentity(kind string) (crypto.PrivKey, error) {
	kinds := map[string]int{"rsa": crypto.RSA, "ed25519": crypto.Ed25519, "secp256k1": crypto.Secp256k1, "ecdsa": crypto.ECDSA}
	number, ok := kinds[kind]
	if !ok {
		return nil, fmt.Errorf("no keys are of type %s", kind)
	}
	key, _, err := crypto.GenerateKeyPairWithReader(number, 2048, rand.Reader)
	return key, err
}

// ---- what it serves

func serveEcho(s network.Stream) {
	if _, err := io.Copy(s, s); err != nil {
		fmt.Println("RESET", err)
		s.Reset()
		return
	}
	fmt.Println("HALF-CLOSED")
	s.Close()
}

func serveReset(s network.Stream) {
	var one [1]byte
	io.ReadFull(s, one[:])
	s.Reset()
}

func servePerf(s network.Stream) {
	defer s.Close()
	var head [8]byte
	if _, err := io.ReadFull(s, head[:]); err != nil {
		s.Reset()
		return
	}
	if _, err := io.Copy(io.Discard, s); err != nil {
		s.Reset()
		return
	}
	if err := sendZeros(s, binary.BigEndian.Uint64(head[:])); err != nil {
		s.Reset()
	}
}

func sendZeros(w io.Writer, count uint64) error {
	chunk := make([]byte, 1<<18)
	for count > 0 {
		n := min(count, uint64(len(chunk)))
		if _, err := w.Write(chunk[:n]); err != nil {
			return err
		}
		count -= n
	}
	return nil
}

// ---- what it tries as a dialler

type dialler struct {
	h      host.Host
	target peer.AddrInfo
	out    result
}

func (d *dialler) open(name string) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	s, err := d.h.NewStream(ctx, d.target.ID, protocol.ID(name))
	if err == nil {
		s.SetDeadline(time.Now().Add(patience))
	}
	return s, err
}

// From nothing to the first byte of an answer, over a new connection each time.
func (d *dialler) firstBytes(rounds int) {
	var dials, firsts []float64
	for range rounds {
		d.h.Network().ClosePeer(d.target.ID)
		time.Sleep(20 * time.Millisecond)
		d.h.Peerstore().AddAddrs(d.target.ID, d.target.Addrs, time.Hour)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		begin := time.Now()
		_, err := d.h.Network().DialPeer(network.WithForceDirectDial(ctx, "a new one"), d.target.ID)
		cancel()
		check(err, "dialling")
		dials = append(dials, milliseconds(time.Since(begin)))
		s, err := d.open(echoProtocol)
		check(err, "opening "+echoProtocol)
		var one [1]byte
		_, err = s.Write(one[:])
		check(err, "writing a byte")
		_, err = io.ReadFull(s, one[:])
		check(err, "reading a byte")
		firsts = append(firsts, milliseconds(time.Since(begin)))
		s.Close()
	}
	d.out.times("handshake_ms", dials)
	d.out.times("first_byte_ms", firsts)
	d.h.Network().ClosePeer(d.target.ID)
	time.Sleep(50 * time.Millisecond)
}

func (d *dialler) connect() error {
	// Subscribed only now: 16 events that nobody takes would block identify.
	sub, err := d.h.EventBus().Subscribe([]any{
		new(event.EvtPeerIdentificationCompleted), new(event.EvtPeerIdentificationFailed)})
	if err != nil {
		return err
	}
	defer sub.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	begin := time.Now()
	if err := d.h.Connect(ctx, d.target); err != nil {
		return err
	}
	d.out["connect_ms"] = milliseconds(time.Since(begin))
	conn := d.h.Network().ConnsToPeer(d.target.ID)[0]
	state := conn.ConnState()
	d.out["limited"], d.out["remote"] = conn.Stat().Limited, conn.RemoteMultiaddr().String()
	d.out["security"], d.out["muxer"] = state.Security, state.StreamMultiplexer
	d.out["early_muxer"] = state.UsedEarlyMuxerNegotiation
	for {
		select {
		case some := <-sub.Out():
			switch what := some.(type) {
			case event.EvtPeerIdentificationCompleted:
				if what.Peer != d.target.ID {
					continue // the relay on the way
				}
				d.out["agent"], d.out["protocols"] = what.AgentVersion, what.Protocols
				d.out["signed_record"] = what.SignedPeerRecord != nil
				d.out["observed"] = fmt.Sprint(what.ObservedAddr)
				d.out["addresses"] = fmt.Sprint(what.ListenAddrs)
				return nil
			case event.EvtPeerIdentificationFailed:
				if what.Peer != d.target.ID {
					continue
				}
				return fmt.Errorf("identify: %w", what.Reason)
			}
		case <-time.After(5 * time.Second):
			return errors.New("identify: no answer")
		}
	}
}

func (d *dialler) waitForDirect() string {
	for range 300 {
		for _, conn := range d.h.Network().ConnsToPeer(d.target.ID) {
			if !strings.Contains(conn.RemoteMultiaddr().String(), "/p2p-circuit") {
				return conn.RemoteMultiaddr().String()
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return ""
}

func (d *dialler) pings(count int) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var times []float64
	answers := ping.Ping(ctx, d.h, d.target.ID)
	for range count {
		answer, ok := <-answers
		if !ok {
			return errors.New("no answer")
		}
		if answer.Error != nil {
			return answer.Error
		}
		times = append(times, milliseconds(answer.RTT))
	}
	d.out["pings"] = len(times)
	d.out.times("ping_ms", times)
	return nil
}

// Sends random bytes, half-closes, and reads them all back, both at the same time.
func (d *dialler) echo(mib int) error {
	sent := make([]byte, mib<<20)
	rand.Read(sent)
	s, err := d.open(echoProtocol)
	if err != nil {
		return err
	}
	begin := time.Now()
	writing := make(chan error, 1)
	go func() {
		_, err := s.Write(sent)
		if err == nil {
			err = s.CloseWrite()
		}
		writing <- err
	}()
	back, err := io.ReadAll(s)
	if err != nil {
		return fmt.Errorf("after %d bytes: %w", len(back), err)
	}
	took := time.Since(begin)
	if err := <-writing; err != nil {
		return err
	}
	s.Close()
	was, is := sha256.Sum256(sent), sha256.Sum256(back)
	d.out["echo_ok"] = bytes.Equal(was[:], is[:])
	d.out["half_close_seen"] = true // or the peer would not have ended its side
	d.out["echo_mib_s"] = float64(mib) / took.Seconds()
	return nil
}

// Many streams beside each other, each with its own bytes, once all are open.
func (d *dialler) streams(count int) error {
	opened := make([]network.Stream, count)
	for i := range opened {
		s, err := d.open(echoProtocol)
		if err != nil {
			return err
		}
		opened[i] = s
	}
	results := make(chan error, count)
	for i, s := range opened {
		go func() {
			sent := bytes.Repeat([]byte{byte(i)}, streamsBytes/count)
			results <- func() error {
				go func() {
					s.Write(sent)
					s.CloseWrite()
				}()
				back, err := io.ReadAll(s)
				if err == nil && !bytes.Equal(back, sent) {
					err = errors.New("other bytes came back")
				}
				s.Close()
				return err
			}()
		}()
	}
	for range count {
		if err := <-results; err != nil {
			return err
		}
	}
	d.out["streams"] = count
	return nil
}

func (d *dialler) reset() error {
	s, err := d.open(resetProtocol)
	if err != nil {
		return err
	}
	if _, err = s.Write([]byte{1}); err != nil {
		return err
	}
	_, err = io.ReadAll(s)
	d.out["reset_seen"] = errors.Is(err, network.ErrReset)
	// And the other way: our reset ends that stream alone.
	if s, err = d.open(echoProtocol); err != nil {
		return err
	}
	if _, err = s.Write([]byte{1}); err != nil {
		return err
	}
	s.Reset()
	s, err = d.open(echoProtocol)
	if err != nil {
		return fmt.Errorf("after a reset: %w", err)
	}
	return s.Close()
}

func (d *dialler) perf(up, down uint64) (float64, error) {
	s, err := d.open(perfProtocol)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if _, err = s.Write(binary.BigEndian.AppendUint64(nil, down)); err != nil {
		return 0, err
	}
	if err = sendZeros(s, up); err != nil {
		return 0, err
	}
	if err = s.CloseWrite(); err != nil {
		return 0, err
	}
	got, err := io.Copy(io.Discard, s)
	if err == nil && uint64(got) != down {
		err = fmt.Errorf("%d bytes of %d came", got, down)
	}
	if err != nil {
		return 0, err
	}
	s.Close()
	return float64(up+down) / (1 << 20) / time.Since(begin).Seconds(), nil
}

// The reservation lasts longer than any test.
func reserveAt(h host.Host, at string) error {
	info, err := peer.AddrInfoFromString(at)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.Connect(ctx, *info); err != nil {
		return err
	}
	place, err := client.Reserve(ctx, h, *info)
	if err == nil && place.Voucher == nil {
		err = errors.New("no voucher")
	}
	return err
}

// go-libp2p serves hole punching only once a peer, here the relay, has told it a public address.
func waitForPunching(h host.Host) error {
	for range 100 {
		if slices.Contains(h.Mux().Protocols(), holepunch.Protocol) {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.New("no public address was observed")
}

func connectToRelay(h host.Host, circuit string) error {
	at, _, _ := strings.Cut(circuit, "/p2p-circuit")
	info, err := peer.AddrInfoFromString(at)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return h.Connect(ctx, *info)
}

// What secure WebSockets are taken and dialled with.
func webTLS(certificate, key, authorities string) []any {
	var options []any
	if certificate != "" {
		pair, err := web.LoadX509KeyPair(certificate, key)
		check(err, "reading the certificate")
		options = append(options, websocket.WithTLSConfig(&web.Config{Certificates: []web.Certificate{pair}}))
	}
	if authorities != "" {
		text, err := os.ReadFile(authorities)
		check(err, "reading the authorities")
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(text)
		options = append(options, websocket.WithTLSClientConfig(&web.Config{RootCAs: pool}))
	}
	return options
}

func libraryVersion() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == "github.com/libp2p/go-libp2p" {
				return "go-libp2p " + module.Version
			}
		}
	}
	return "go-libp2p"
}

func main() {
	listen := flag.String("listen", "", "tcp, ws, tls/ws or quic")
	certificate := flag.String("tls-certificate", "", "for tls/ws, a file in PEM")
	certificateKey := flag.String("tls-key", "", "")
	authorities := flag.String("tls-authorities", "", "believed, a file in PEM")
	ip := flag.String("ip", "127.0.0.1", "to listen at")
	port := flag.Int("port", 0, "0: the system chooses")
	addrFile := flag.String("addrfile", "", "gets the multiaddrs, one a line")
	key := flag.String("key", "ed25519", "ed25519, rsa, secp256k1 or ecdsa")
	security := flag.String("sec", "noise", "noise or tls: the only one")
	dial := flag.String("dial", "", "multiaddr with /p2p")
	pings := flag.Int("pings", 5, "")
	echoMib := flag.Int("echo-mib", 0, "each way, on one stream")
	streams := flag.Int("streams", 0, "echoes beside each other")
	resets := flag.Bool("resets", false, "try "+resetProtocol)
	changes := flag.Bool("changes", false, "see a protocol that comes, and a peer that leaves")
	firstBytes := flag.Int("first-bytes", 0, "new connections, timed to the first byte of an answer")
	requests := flag.Int("requests", 0, "64 bytes there and back, timed")
	perfStreams := flag.Uint64("perf-streams", 1, "that share --perf-mib")
	perfMib := flag.Uint64("perf-mib", 0, "one way, then the other")
	autonat := flag.Bool("autonat", false, "serve it, or ask whether this node is reached")
	mdns := flag.Bool("mdns", false, "a listener finds and is found on the local network")
	isKad := flag.Bool("kad", false, "be a node of a table, a client where it does not listen")
	kadJoin := flag.String("kad-join", "", "a listener: the node of the table to join, to put there and to provide")
	kadPeer := flag.String("kad-peer", "", "a dialler: the peer that joined, to look for")
	relays := flag.String("relay", "", "limited or unlimited: be a relay whose circuits are")
	reserve := flag.String("reserve", "", "multiaddr of a relay to be reached through")
	punch := flag.Bool("punch", false, "turn relayed connections into direct ones; a dialler waits for that")
	flag.Parse()

	identity, err := newIdentity(*key)
	check(err, "making a key")
	options := []libp2p.Option{libp2p.Identity(identity), libp2p.UserAgent("gopeer/0.1"),
		libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.DisableMetrics(),
		libp2p.Transport(tcp.NewTCPTransport), libp2p.Transport(websocket.New, webTLS(*certificate, *certificateKey, *authorities)...),
		libp2p.Transport(quic.NewTransport)}
	switch *relays {
	case "":
	case "limited":
		options = append(options, libp2p.EnableRelayService(), libp2p.ForceReachabilityPublic())
	default:
		options = append(options, libp2p.EnableRelayService(relay.WithInfiniteLimits()), libp2p.ForceReachabilityPublic())
	}
	if *relays == "" && *reserve == "" && !strings.Contains(*dial, "/p2p-circuit") {
		options = append(options, libp2p.DisableRelay())
	} else {
		options = append(options, libp2p.EnableRelay()) // though it may not listen
	}
	if *punch {
		options = append(options, libp2p.EnableHolePunching())
	}
	if *security == "tls" {
		options = append(options, libp2p.Security(tls.ID, tls.New))
	} else {
		options = append(options, libp2p.Security(noise.ID, noise.New))
	}
	switch *listen {
	case "":
		options = append(options, libp2p.NoListenAddrs)
	case "ws", "tls/ws":
		options = append(options, libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/tcp/%d/%s", *ip, *port, *listen)))
	case "quic":
		options = append(options, libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", *ip, *port)))
	default:
		options = append(options, libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/tcp/%d", *ip, *port)))
	}
	if *autonat && *dial == "" {
		// Without a counter of dials over UDP: it would have the server dial none before the node has, often.
		options = append(options, libp2p.EnableNATService(), libp2p.EnableAutoNATv2(), libp2p.UDPBlackHoleSuccessCounter(nil))
	}
	h, err := libp2p.New(options...)
	check(err, "starting")
	defer h.Close()
	h.SetStreamHandler(echoProtocol, serveEcho)
	h.SetStreamHandler(resetProtocol, serveReset)
	h.SetStreamHandler(perfProtocol, servePerf)
	serveChanges(h)
	var table *dht.IpfsDHT
	if *isKad {
		table, err = newTable(h, *listen != "")
		check(err, "starting the table")
		defer table.Close()
	}

	if *mdns {
		check(startMdns(h), "starting mDNS")
	}
	if *dial == "" {
		if *kadJoin != "" {
			check(join(h, table, *kadJoin), "joining "+*kadJoin)
		}
		var lines strings.Builder
		for _, address := range h.Addrs() {
			fmt.Fprintf(&lines, "%s/p2p/%s\n", address, h.ID())
		}
		if *reserve != "" {
			check(reserveAt(h, *reserve), "reserving at "+*reserve)
			if *punch {
				check(waitForPunching(h), "getting ready to punch")
			}
			fmt.Fprintf(&lines, "%s/p2p-circuit/p2p/%s\n", *reserve, h.ID())
		}
		fmt.Print(lines.String())
		if *addrFile != "" {
			check(os.WriteFile(*addrFile+".new", []byte(lines.String()), 0o644), "writing addresses")
			check(os.Rename(*addrFile+".new", *addrFile), "writing addresses")
		}
		stopped := make(chan os.Signal, 1)
		signal.Notify(stopped, syscall.SIGINT, syscall.SIGTERM)
		<-stopped
		return
	}

	address, err := ma.NewMultiaddr(*dial)
	check(err, "reading "+*dial)
	target, err := peer.AddrInfoFromP2pAddr(address)
	check(err, "reading "+*dial)
	d := dialler{h: h, target: *target, out: result{"impl": "go", "version": libraryVersion()}}
	if *firstBytes > 0 {
		d.firstBytes(*firstBytes)
	}
	if *punch {
		check(connectToRelay(h, *dial), "connecting to the relay")
		check(waitForPunching(h), "getting ready to punch")
	}
	failures := map[string]string{}
	try := func(what string, err error) {
		if err != nil {
			failures[what] = err.Error()
		}
	}
	err = d.connect()
	try("connect", err)
	if err == nil {
		if *autonat {
			try("autonat", d.autonat())
		}
		if *punch {
			d.out["direct"] = d.waitForDirect()
		}
		try("ping", d.pings(*pings))
		if *echoMib > 0 {
			try("echo", d.echo(*echoMib))
		}
		if *streams > 0 {
			try("streams", d.streams(*streams))
		}
		if *resets {
			try("reset", d.reset())
		}
		if *kadPeer != "" {
			try("kad", d.kad(table, *kadPeer))
		}
		if *requests > 0 {
			try("requests", d.requests(*requests))
		}
		if *perfMib > 0 {
			d.out["perf_up_mib_s"], err = d.perfStreams(*perfStreams, *perfMib<<20, 0)
			try("perf up", err)
			d.out["perf_down_mib_s"], err = d.perfStreams(*perfStreams, 0, *perfMib<<20)
			try("perf down", err)
		}
		if *changes {
			try("news", d.news())
			try("leaving", d.leave())
		}
	}
	d.out["failures"] = failures
	line, err := json.Marshal(d.out)
	check(err, "writing the result")
	fmt.Println(string(line))
}
