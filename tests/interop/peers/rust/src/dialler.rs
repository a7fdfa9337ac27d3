//! What a dialler tries; its report is that of ../../README.md.
use std::{fs::File, io::Read, time::Instant};

use futures::{
    future::{try_join, try_join_all},
    AsyncReadExt, AsyncWriteExt,
};
use libp2p::{identify, multiaddr::Protocol, swarm::dial_opts::DialOpts, swarm::SwarmEvent, Multiaddr, PeerId, Stream};
use serde_json::{json, Map, Value};
use tokio::sync::oneshot;

use crate::{
    autonat, changes,
    flags::Flags,
    kad, measure,
    node::{patiently, BehaviourEvent, Event, Node},
    relay,
    serve::{ECHO, RESET},
    Failure,
};

const STREAMS_BYTES: usize = 15_000_000; // of all of --streams

pub struct Dialler {
    pub node: Node,
    pub peer: PeerId,
    target: Multiaddr,
    pub out: Map<String, Value>,
    failures: Map<String, Value>,
}

/// A new connection, and where it leads.
pub struct Connected {
    pub remote: Multiaddr,
    pub closed: oneshot::Receiver<()>,
}

/// The least and the median.
pub fn note_times(out: &mut Map<String, Value>, name: &str, mut times: Vec<f64>) {
    if times.is_empty() {
        return;
    }
    times.sort_by(f64::total_cmp);
    out.insert(format!("{name}_min"), times[0].into());
    out.insert(format!("{name}_median"), times[times.len() / 2].into());
}

pub fn milliseconds_since(begin: Instant) -> f64 {
    begin.elapsed().as_secs_f64() * 1000.0
}

/// The bytes to the echo and back, both at the same time, and the end behind them.
async fn echo_of(stream: Stream, sent: &[u8]) -> Result<(), Failure> {
    let (mut reader, mut writer) = stream.split();
    let sending = async {
        writer.write_all(sent).await?;
        writer.close().await
    };
    let receiving = async {
        let mut back = Vec::with_capacity(sent.len());
        reader.read_to_end(&mut back).await.map(|_| back)
    };
    let (_, back) = patiently("the echo", try_join(sending, receiving)).await??;
    if back.len() != sent.len() {
        return Err(format!("{} bytes of {} came back", back.len(), sent.len()).into());
    }
    if back == sent {
        Ok(())
    } else {
        Err("other bytes came back".into())
    }
}

/// Whether a stream that has ended was reset. yamux reads the same of both, but does not write any more.
async fn is_reset(stream: &mut Stream) -> bool {
    let mut one = [0u8; 1];
    if stream.read(&mut one).await.is_err() {
        return true;
    }
    stream.write_all(&one).await.is_err() || stream.flush().await.is_err()
}

impl Dialler {
    pub fn new(node: Node, target: Multiaddr) -> Result<Self, Failure> {
        let Some(Protocol::P2p(peer)) = target.iter().last() else {
            return Err(format!("{target} has no /p2p").into());
        };
        let out = Map::from_iter([("impl".to_string(), json!("rust")), ("version".to_string(), json!("rust-libp2p 0.57.1"))]);
        Ok(Dialler { node, peer, target, out, failures: Map::new() })
    }

    pub async fn dial(&self) -> Result<Connected, Failure> {
        let options = DialOpts::unknown_peer_id().address(self.target.clone()).build();
        let id = options.connection_id();
        let outcome = self.node.watch(move |event: &Event| match event {
            SwarmEvent::ConnectionEstablished { connection_id, endpoint, .. } if *connection_id == id => {
                Some(Ok(endpoint.get_remote_address().clone()))
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } if *connection_id == id => {
                Some(Err(format!("{error:?}")))
            }
            _ => None,
        });
        let closed = self.node.watch(move |event: &Event| match event {
            SwarmEvent::ConnectionClosed { connection_id, .. } if *connection_id == id => Some(()),
            _ => None,
        });
        self.node.call(move |swarm| swarm.dial(options)).await??;
        let remote = patiently("dialling", outcome).await???;
        Ok(Connected { remote, closed })
    }

    async fn connect(&mut self) -> Result<Connected, Failure> {
        let peer = self.peer;
        let told = self.node.watch(move |event: &Event| match event {
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received { peer_id, info, .. }))
                if *peer_id == peer =>
            {
                Some(Ok(info.clone()))
            }
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Error { peer_id, error, .. }))
                if *peer_id == peer =>
            {
                Some(Err(format!("identify: {error}")))
            }
            _ => None,
        });
        let limits = relay::watch_limits(&self.node);
        let begin = Instant::now();
        let connected = self.dial().await?;
        self.out.insert("connect_ms".into(), milliseconds_since(begin).into());
        self.out.insert("remote".into(), connected.remote.to_string().into());
        self.out.insert("limited".into(), relay::is_limited(limits).into());
        let info = patiently("identify", told).await???;
        let texts = |addresses: &[Multiaddr]| addresses.iter().map(|address| address.to_string()).collect::<Vec<_>>();
        self.out.insert("agent".into(), info.agent_version.into());
        self.out.insert("protocols".into(), info.protocols.iter().map(|name| name.to_string()).collect::<Vec<_>>().into());
        self.out.insert("signed_record".into(), info.signed_peer_record.is_some().into());
        self.out.insert("observed".into(), info.observed_addr.to_string().into());
        self.out.insert("addresses".into(), texts(&info.listen_addrs).into());
        Ok(connected)
    }

    /// Takes the round trips that the library measures.
    fn watch_pings(&self, count: usize) -> oneshot::Receiver<Result<Vec<f64>, String>> {
        let (peer, mut times) = (self.peer, vec![]);
        self.node.watch(move |event: &Event| match event {
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping)) if ping.peer == peer => match &ping.result {
                Ok(time) => {
                    times.push(time.as_secs_f64() * 1000.0);
                    (times.len() == count).then(|| Ok(std::mem::take(&mut times)))
                }
                Err(error) => Some(Err(error.to_string())),
            },
            _ => None,
        })
    }

    async fn pings(&mut self, answers: oneshot::Receiver<Result<Vec<f64>, String>>) -> Result<(), Failure> {
        let times = patiently("ping", answers).await???;
        self.out.insert("pings".into(), times.len().into());
        note_times(&mut self.out, "ping_ms", times);
        Ok(())
    }

    async fn echo(&mut self, mib: usize) -> Result<(), Failure> {
        let small = self.node.open(self.peer, ECHO).await?;
        echo_of(small, &[0; 5]).await?;
        let mut sent = vec![0u8; mib << 20];
        File::open("/dev/urandom")?.read_exact(&mut sent)?;
        let stream = self.node.open(self.peer, ECHO).await?;
        let begin = Instant::now();
        echo_of(stream, &sent).await?;
        self.out.insert("echo_ok".into(), true.into());
        self.out.insert("half_close_seen".into(), true.into()); // or the peer would not have ended its side
        self.out.insert("echo_mib_s".into(), (mib as f64 / begin.elapsed().as_secs_f64()).into());
        Ok(())
    }

    /// Many beside each other, each with its own bytes, once all are open.
    async fn streams(&mut self, count: usize) -> Result<(), Failure> {
        let opened = try_join_all((0..count).map(|_| self.node.open(self.peer, ECHO))).await?;
        let size = STREAMS_BYTES / count;
        let with_bytes = opened.into_iter().enumerate();
        let running: Vec<_> = with_bytes
            .map(|(index, stream)| tokio::spawn(async move { echo_of(stream, &vec![index as u8; size]).await }))
            .collect();
        for one in running {
            one.await??;
        }
        self.out.insert("streams".into(), count.into());
        Ok(())
    }

    async fn reset(&mut self) -> Result<(), Failure> {
        let mut stream = self.node.open(self.peer, RESET).await?;
        stream.write_all(&[1]).await?;
        stream.flush().await?;
        let is_seen = patiently("a reset", is_reset(&mut stream)).await?;
        self.out.insert("reset_seen".into(), is_seen.into());
        // And the other way: ours ends that stream alone.
        let mut stream = self.node.open(self.peer, ECHO).await?;
        stream.write_all(&[1]).await?;
        stream.flush().await?;
        drop(stream);
        let after = self.node.open(self.peer, ECHO).await?;
        echo_of(after, &[1]).await
    }

    fn note(&mut self, what: &str, done: Result<(), Failure>) {
        if let Err(error) = done {
            self.failures.insert(what.into(), error.to_string().into());
        }
    }

    async fn try_connected(&mut self, flags: &Flags) -> Result<(), Failure> {
        let (echo_mib, streams) = (flags.number("echo-mib")?, flags.number("streams")?);
        if echo_mib > 0 {
            let done = self.echo(echo_mib).await;
            self.note("echo", done);
        }
        if streams > 0 {
            let done = self.streams(streams).await;
            self.note("streams", done);
        }
        if flags.has("resets") {
            let done = self.reset().await;
            self.note("reset", done);
        }
        if let Some(wanted) = flags.text("kad-peer") {
            let done = kad::look(&self.node, &self.target, wanted, &mut self.out).await;
            self.note("kad", done);
        }
        let done = measure::over_connection(self, flags).await;
        self.note("measuring", done);
        Ok(())
    }

    /// Everything that the flags ask for; what failed is in the report.
    pub async fn try_all(mut self, flags: &Flags) -> Result<Value, Failure> {
        let rounds = flags.number("first-bytes")?;
        if rounds > 0 {
            let done = measure::first_bytes(&mut self, rounds).await;
            self.note("first bytes", done);
        }
        if flags.has("punch") {
            let done = relay::meet(&self.node, &self.target).await;
            self.note("relay", done);
        }
        let direct = relay::watch_direct(&self.node, self.peer);
        let count = flags.number("pings")?;
        let answers = self.watch_pings(count);
        let connected = match self.connect().await {
            Ok(connected) => Some(connected),
            Err(error) => {
                self.note("connect", Err(error));
                None
            }
        };
        if let Some(connected) = connected {
            if flags.has("autonat") {
                let done = autonat::ask(&self.node, self.peer, &self.target, &mut self.out).await;
                self.note("autonat", done);
            }
            if flags.has("punch") {
                self.out.insert("direct".into(), relay::wait_for_direct(direct).await.into());
            }
            if count > 0 {
                let done = self.pings(answers).await;
                self.note("ping", done);
            }
            self.try_connected(flags).await?;
            if flags.has("changes") {
                let mut seen = Map::new();
                let done = changes::see(&self, connected, &mut seen).await;
                self.out.append(&mut seen);
                self.note("changes", done);
            }
        }
        self.out.insert("failures".into(), self.failures.into());
        Ok(self.out.into())
    }
}
