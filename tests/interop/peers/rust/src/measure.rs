//! What bench/p2p.py measures.
use std::time::{Duration, Instant};

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::Stream;

use crate::{
    dialler::{milliseconds_since, note_times, Dialler},
    flags::Flags,
    node::patiently,
    serve::{drain, send_zeros, ECHO, PERF},
    Failure,
};

const FIRST_REQUESTS: usize = 200; // that are not counted
const MIB: f64 = (1 << 20) as f64;
const PAUSE: Duration = Duration::from_millis(20);

async fn there_and_back(stream: &mut Stream, block: &mut [u8]) -> std::io::Result<()> {
    stream.write_all(block).await?;
    stream.flush().await?;
    stream.read_exact(block).await
}

/// From nothing to the first byte of an answer, over a new connection each time.
pub async fn first_bytes(dialler: &mut Dialler, rounds: usize) -> Result<(), Failure> {
    let (mut dials, mut firsts, peer) = (vec![], vec![], dialler.peer);
    for _ in 0..rounds {
        let begin = Instant::now();
        let connected = dialler.dial().await?;
        dials.push(milliseconds_since(begin));
        let mut stream = dialler.node.open(peer, ECHO).await?;
        patiently("the first byte", there_and_back(&mut stream, &mut [0])).await??;
        firsts.push(milliseconds_since(begin));
        drop(stream);
        let disconnecting = dialler.node.call(move |swarm| swarm.disconnect_peer_id(peer)).await?;
        disconnecting.map_err(|()| "the connection has ended by itself")?;
        patiently("disconnecting", connected.closed).await??;
        tokio::time::sleep(PAUSE).await;
    }
    note_times(&mut dialler.out, "handshake_ms", dials);
    note_times(&mut dialler.out, "first_byte_ms", firsts);
    Ok(())
}

/// 64 bytes to the echo and back, one after the other on one stream.
async fn requests(dialler: &mut Dialler, count: usize) -> Result<(), Failure> {
    let mut stream = dialler.node.open(dialler.peer, ECHO).await?;
    let mut times = vec![];
    for i in 0..FIRST_REQUESTS + count {
        let begin = Instant::now();
        there_and_back(&mut stream, &mut [0; 64]).await?;
        if i >= FIRST_REQUESTS {
            times.push(begin.elapsed().as_secs_f64() * 1e6);
        }
    }
    times.sort_by(f64::total_cmp);
    dialler.out.insert("request_us_p50".into(), times[times.len() / 2].into());
    dialler.out.insert("request_us_p99".into(), times[times.len() * 99 / 100].into());
    Ok(stream.close().await?)
}

async fn perf_stream(mut stream: Stream, up: usize, down: usize) -> Result<(), Failure> {
    stream.write_all(&(down as u64).to_be_bytes()).await?;
    send_zeros(&mut stream, up).await?;
    stream.close().await?;
    let got = drain(&mut stream).await?;
    if got == down {
        Ok(())
    } else {
        Err(format!("{got} bytes of {down} came").into())
    }
}

/// MiB/s of `count` streams beside each other, which share the bytes.
async fn perf(dialler: &Dialler, count: usize, up: usize, down: usize) -> Result<f64, Failure> {
    let begin = Instant::now();
    let mut running = vec![];
    for _ in 0..count {
        let (node, peer) = (dialler.node.clone(), dialler.peer);
        running.push(tokio::spawn(async move {
            let stream = node.open(peer, PERF).await?;
            perf_stream(stream, up / count, down / count).await
        }));
    }
    for one in running {
        one.await??;
    }
    Ok((up + down) as f64 / MIB / begin.elapsed().as_secs_f64())
}

/// Over the connection that is there.
pub async fn over_connection(dialler: &mut Dialler, flags: &Flags) -> Result<(), Failure> {
    let count = flags.number("requests")?;
    if count > 0 {
        requests(dialler, count).await?;
    }
    let (streams, bytes) = (flags.number("perf-streams")?.max(1), flags.number("perf-mib")? << 20);
    if bytes > 0 {
        let up = perf(dialler, streams, bytes, 0).await?;
        dialler.out.insert("perf_up_mib_s".into(), up.into());
        let down = perf(dialler, streams, 0, bytes).await?;
        dialler.out.insert("perf_down_mib_s".into(), down.into());
    }
    Ok(())
}
