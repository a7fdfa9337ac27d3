//! The identity, and the transports: TCP, WebSocket, the same inside TLS, QUIC, and circuits through relays.
use std::{fs, process::Command};

use libp2p::{
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, OrTransport},
        upgrade::Version,
        Transport,
    },
    identity::Keypair,
    noise, quic, relay, tcp, tls, yamux, PeerId,
};
use libp2p_websocket as websocket;
use rustls::pki_types::{pem::PemObject, CertificateDer, PrivateKeyDer};

use crate::{flags::Flags, Failure};

const STREAMS_MAX: usize = 4000; // of a connection; 512 by default

pub type Connections = Boxed<(PeerId, StreamMuxerBox)>;

/// Of this type: ed25519, secp256k1, ecdsa or rsa.
pub fn make_identity(kind: &str) -> Result<Keypair, Failure> {
    Ok(match kind {
        "ed25519" => Keypair::generate_ed25519(),
        "secp256k1" => Keypair::generate_secp256k1(),
        "ecdsa" => Keypair::generate_ecdsa(),
        "rsa" => {
            // The library makes no RSA keys.
            let made =
                Command::new("openssl").args(["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]).output()?;
            Keypair::rsa_from_pkcs8(&mut PrivateKeyDer::from_pem_slice(&made.stdout)?.secret_der().to_vec())?
        }
        other => return Err(format!("no keys are of type {other}").into()),
    })
}

fn web_tls(flags: &Flags) -> Result<websocket::tls::Config, Failure> {
    let certificates = |file: &str| -> Result<Vec<websocket::tls::Certificate>, Failure> {
        let read = CertificateDer::pem_file_iter(file)?.collect::<Result<Vec<_>, _>>()?;
        Ok(read.iter().map(|one| websocket::tls::Certificate::new(one.to_vec())).collect())
    };
    let mut config = websocket::tls::Config::builder();
    if let Some(file) = flags.text("tls-authorities") {
        for authority in certificates(file)? {
            config.add_trust(&authority)?;
        }
    }
    if let (Some(chain), Some(key)) = (flags.text("tls-certificate"), flags.text("tls-key")) {
        let key = PrivateKeyDer::from_pem_slice(&fs::read(key)?)?.secret_der().to_vec();
        config.server(websocket::tls::PrivateKey::new(key), certificates(chain)?)?;
    }
    Ok(config.finish())
}

fn muxer() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(STREAMS_MAX);
    config
}

/// All transports, and what makes circuits work.
pub fn make_transport(identity: &Keypair, flags: &Flags) -> Result<(Connections, relay::client::Behaviour), Failure> {
    let tcp_config = tcp::Config::default().nodelay(true);
    let mut web = websocket::Config::new(tcp::tokio::Transport::new(tcp_config.clone()));
    web.set_tls_config(web_tls(flags)?);
    let (circuits, relaying) = relay::client::new(identity.public().to_peer_id());
    let plain =
        OrTransport::new(circuits, OrTransport::new(web, tcp::tokio::Transport::new(tcp_config))).upgrade(Version::V1Lazy);
    let secured = if flags.text("sec") == Some("tls") {
        plain.authenticate(tls::Config::new(identity)?).multiplex(muxer()).boxed()
    } else {
        plain.authenticate(noise::Config::new(identity)?).multiplex(muxer()).boxed()
    };
    let mut quic_config = quic::Config::new(identity);
    quic_config.max_concurrent_stream_limit = STREAMS_MAX as u32;
    let quic = quic::tokio::Transport::new(quic_config).map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let all = OrTransport::new(secured, quic).map(|either, _| either.into_inner()).boxed();
    Ok((all, relaying))
}
