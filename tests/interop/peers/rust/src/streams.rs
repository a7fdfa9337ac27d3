//! Streams of any protocol, as a behaviour. libp2p-stream would do, but drops streams that come in one burst, and opens one at a time.
use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{ready, Ready},
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use libp2p::{
    core::{transport::PortUse, upgrade::UpgradeInfo, Endpoint, InboundUpgrade, OutboundUpgrade},
    swarm::{
        handler::ConnectionEvent, ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm,
        NetworkBehaviour, NotifyHandler, SubstreamProtocol, THandlerInEvent, ToSwarm,
    },
    Multiaddr, PeerId, Stream, StreamProtocol,
};
use tokio::sync::{mpsc, oneshot};

pub type Opened = oneshot::Receiver<Result<Stream, String>>;
type Answer = oneshot::Sender<Result<Stream, String>>;

/// What a node serves. It may become more, of which identify then tells all peers.
pub type Served = Arc<Mutex<Vec<StreamProtocol>>>;

pub struct Behaviour {
    served: Served,
    arrived: mpsc::UnboundedSender<(StreamProtocol, Stream)>,
    queue: VecDeque<ToSwarm<Infallible, Wanted>>,
}

/// A stream to be opened.
#[derive(Debug)]
pub struct Wanted {
    protocol: StreamProtocol,
    answer: Answer,
}

impl Behaviour {
    /// Streams of the protocols in `served` go to `arrived`.
    pub fn new(served: Served, arrived: mpsc::UnboundedSender<(StreamProtocol, Stream)>) -> Self {
        Behaviour { served, arrived, queue: VecDeque::new() }
    }

    /// Over a connection that is there.
    pub fn open(&mut self, peer: PeerId, protocol: StreamProtocol) -> Opened {
        let (answer, opened) = oneshot::channel();
        let event = Wanted { protocol, answer };
        self.queue.push_back(ToSwarm::NotifyHandler { peer_id: peer, handler: NotifyHandler::Any, event });
        opened
    }

    /// Tells the other behaviours of an address that might be ours.
    pub fn suggest_address(&mut self, address: Multiaddr) {
        self.queue.push_back(ToSwarm::NewExternalAddrCandidate(address));
    }

    fn handler(&self) -> Handler {
        Handler { served: self.served.clone(), arrived: self.arrived.clone(), wanted: VecDeque::new() }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(self.handler())
    }

    fn on_swarm_event(&mut self, _: FromSwarm) {}

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: Infallible) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Infallible, THandlerInEvent<Self>>> {
        self.queue.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

pub struct Handler {
    served: Served,
    arrived: mpsc::UnboundedSender<(StreamProtocol, Stream)>,
    wanted: VecDeque<Wanted>,
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Wanted;
    type ToBehaviour = Infallible;
    type InboundProtocol = Upgrade;
    type OutboundProtocol = Upgrade;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Answer;

    fn listen_protocol(&self) -> SubstreamProtocol<Upgrade> {
        SubstreamProtocol::new(Upgrade(self.served.lock().unwrap().clone()), ())
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ConnectionHandlerEvent<Upgrade, Answer, Infallible>> {
        let Some(wanted) = self.wanted.pop_front() else { return Poll::Pending };
        let protocol = SubstreamProtocol::new(Upgrade(vec![wanted.protocol]), wanted.answer);
        Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol })
    }

    fn on_behaviour_event(&mut self, wanted: Wanted) {
        self.wanted.push_back(wanted);
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<Upgrade, Upgrade, (), Answer>) {
        // Who does not wait any more needs no answer.
        match event {
            ConnectionEvent::FullyNegotiatedInbound(inbound) => drop(self.arrived.send(inbound.protocol)),
            ConnectionEvent::FullyNegotiatedOutbound(outbound) => drop(outbound.info.send(Ok(outbound.protocol.1))),
            ConnectionEvent::DialUpgradeError(refused) => drop(refused.info.send(Err(refused.error.to_string()))),
            _ => {}
        }
    }
}

/// Agrees on one of these, and does no more.
pub struct Upgrade(Vec<StreamProtocol>);

impl UpgradeInfo for Upgrade {
    type Info = StreamProtocol;
    type InfoIter = std::vec::IntoIter<StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.clone().into_iter()
    }
}

impl InboundUpgrade<Stream> for Upgrade {
    type Output = (StreamProtocol, Stream);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((protocol, stream)))
    }
}

impl OutboundUpgrade<Stream> for Upgrade {
    type Output = (StreamProtocol, Stream);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_outbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        ready(Ok((protocol, stream)))
    }
}
