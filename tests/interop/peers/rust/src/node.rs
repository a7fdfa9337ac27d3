//! A swarm in a task of its own, which is asked to do things and watched.
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use libp2p::{
    autonat::{v1, v2},
    core::upgrade::Version,
    dcutr, identify,
    identity::Keypair,
    ping,
    swarm::{behaviour::toggle::Toggle, Config, NetworkBehaviour, SwarmEvent},
    PeerId, StreamProtocol, Swarm,
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    autonat, changes,
    flags::Flags,
    kad, relay,
    serve::{self, ECHO, PERF, RESET},
    streams, transport, Failure,
};

const PATIENCE: Duration = Duration::from_secs(60); // for any one thing
const NEGOTIATING_MAX: usize = 4000; // streams of a connection; 128 by default, and more are dropped

#[derive(NetworkBehaviour)]
pub struct Behaviour {
    pub identify: identify::Behaviour,
    pub ping: ping::Behaviour,
    pub streams: streams::Behaviour,
    pub kad: Toggle<kad::Table>,
    pub relay: Toggle<libp2p::relay::Behaviour>,
    pub circuits: Toggle<libp2p::relay::client::Behaviour>,
    pub punching: Toggle<dcutr::Behaviour>,
    pub autonat_v1: Toggle<v1::Behaviour>,
    pub autonat_client: Toggle<v2::client::Behaviour>,
    pub autonat_server: Toggle<v2::server::Behaviour>,
}

pub type Event = SwarmEvent<BehaviourEvent>;

enum Work {
    Call(Box<dyn FnOnce(&mut Swarm<Behaviour>) + Send>),
    /// True: it has seen enough.
    Watch(Box<dyn FnMut(&Event) -> bool + Send>),
}

#[derive(Clone)]
pub struct Node {
    pub id: PeerId,
    works: mpsc::UnboundedSender<Work>,
}

pub async fn patiently<T>(what: &str, action: impl std::future::Future<Output = T>) -> Result<T, Failure> {
    tokio::time::timeout(PATIENCE, action).await.map_err(|_| format!("{what}: nothing within {PATIENCE:?}").into())
}

impl Node {
    /// What `action` gives; it runs in the swarm's task.
    pub async fn call<T: Send + 'static>(
        &self,
        action: impl FnOnce(&mut Swarm<Behaviour>) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let (done, answer) = oneshot::channel();
        let call = move |swarm: &mut Swarm<Behaviour>| drop(done.send(action(swarm)));
        self.works.send(Work::Call(Box::new(call))).map_err(|_| "the swarm has ended")?;
        Ok(answer.await?)
    }

    /// The first thing that `look` makes of an event from now on.
    pub fn watch<T: Send + 'static>(&self, mut look: impl FnMut(&Event) -> Option<T> + Send + 'static) -> oneshot::Receiver<T> {
        let (seen, answer) = oneshot::channel();
        let mut seen = Some(seen);
        let watch = move |event: &Event| {
            let Some(found) = look(event) else { return false };
            if let Some(seen) = seen.take() {
                let _ = seen.send(found); // whoever asked may have given up
            }
            true
        };
        drop(self.works.send(Work::Watch(Box::new(watch)))); // where the swarm has ended, so has the answer
        answer
    }

    pub async fn open(&self, peer: PeerId, protocol: StreamProtocol) -> Result<libp2p::Stream, Failure> {
        let opened = self.call(move |swarm| swarm.behaviour_mut().streams.open(peer, protocol)).await?;
        Ok(patiently("opening a stream", opened).await???)
    }
}

async fn drive(mut swarm: Swarm<Behaviour>, mut works: mpsc::UnboundedReceiver<Work>) {
    let mut watching: Vec<Box<dyn FnMut(&Event) -> bool + Send>> = vec![];
    loop {
        tokio::select! {
            work = works.recv() => match work {
                Some(Work::Call(call)) => call(&mut swarm),
                Some(Work::Watch(watch)) => watching.push(watch),
                None => return,
            },
            event = futures::StreamExt::select_next_some(&mut swarm) => {
                kad::learn(&mut swarm, &event);
                watching.retain_mut(|watch| !watch(&event));
            }
        }
    }
}

/// Starts it, and what it serves.
pub fn start(identity: Keypair, flags: &Flags) -> Result<Node, Failure> {
    let id = identity.public().to_peer_id();
    let (arrived, arrivals) = mpsc::unbounded_channel();
    let (works, taken) = mpsc::unbounded_channel();
    let node = Node { id, works };
    let served: streams::Served = Arc::new(Mutex::new(vec![ECHO, RESET, PERF, changes::NEWS, changes::LEAVE]));
    tokio::spawn(serve::serve(node.clone(), served.clone(), arrivals));
    let (transport, circuits) = transport::make_transport(&identity, flags)?;
    let told =
        identify::Config::new_with_signed_peer_record("ipfs/0.1.0".into(), &identity).with_agent_version("rustpeer/0.1".into());
    // One that is asked for pings sends them without a pause.
    let interval = Duration::from_millis(if flags.number("pings")? > 0 { 10 } else { 15_000 });
    let (has_autonat, is_dialling) = (flags.has("autonat"), flags.has("dial"));
    let behaviour = Behaviour {
        identify: identify::Behaviour::new(told),
        ping: ping::Behaviour::new(ping::Config::new().with_interval(interval)),
        streams: streams::Behaviour::new(served, arrived),
        kad: flags.has("kad").then(|| kad::make_table(id, flags.has("listen"))).into(),
        relay: flags.text("relay").map(|limits| relay::make_relay(id, limits)).into(),
        circuits: relay::is_using(flags).then_some(circuits).into(),
        punching: flags.has("punch").then(|| dcutr::Behaviour::new(id)).into(),
        autonat_v1: has_autonat.then(|| autonat::make_v1(id)).into(),
        autonat_client: (has_autonat && is_dialling).then(v2::client::Behaviour::default).into(),
        autonat_server: (has_autonat && !is_dialling).then(v2::server::Behaviour::default).into(),
    };
    let mut config = Config::with_tokio_executor()
        .with_idle_connection_timeout(Duration::from_secs(600))
        .with_max_negotiating_inbound_streams(NEGOTIATING_MAX);
    if flags.has("lazy") {
        config = config.with_substream_upgrade_protocol_override(Version::V1Lazy);
    }
    tokio::spawn(drive(Swarm::new(transport, behaviour, id, config), taken));
    Ok(node)
}
