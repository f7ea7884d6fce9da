//! Where the site listens. Between looking whether a port is free and httpd's taking it there is a
//! gap; another `wsgid serve` is kept out of it by a claim in the abstract socket namespace, which
//! the kernel drops with the process.

use std::io;
use std::net::{IpAddr, TcpListener, ToSocketAddrs};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};

/// The port everyone tries first.
const USUAL: u16 = 8000;

/// Attempts at a port that the kernel offers, before something else must be wrong.
const ATTEMPTS: usize = 50;

/// No port to listen on.
#[derive(Debug, thiserror::Error)]
pub enum NoPort {
    /// Somebody else listens there.
    #[error("port {port} of {host} is in use; choose another with --port")]
    InUse { host: String, port: u16 },
    /// A port below 1024, mostly.
    #[error(
        "listening on port {port} of {host} needs more rights than you have; choose one above 1023 with --port"
    )]
    Denied { host: String, port: u16 },
    /// No such address.
    #[error("'{host}' is not an address of this machine: {error}")]
    Host { host: String, error: io::Error },
}

/// A port that is ours to use.
#[derive(Debug)]
pub struct Port {
    /// The address, resolved.
    pub address: IpAddr,
    /// The number.
    pub number: u16,
    /// What was asked for silently was taken, and this is another one.
    pub instead_of: Option<u16>,
    _claim: Option<UnixListener>,
}

impl Port {
    /// As a browser writes it.
    pub fn url(&self) -> String {
        match self.address {
            IpAddr::V4(address) => format!("http://{address}:{}/", self.number),
            IpAddr::V6(address) => format!("http://[{address}]:{}/", self.number),
        }
    }

    /// As httpd's `Listen` has it.
    pub fn listen(&self) -> String {
        self.url().trim_start_matches("http://").trim_end_matches('/').into()
    }
}

/// Finds one: what was asked for or nothing; else the usual one, or any.
pub fn find(host: &str, asked_for: Option<u16>) -> Result<Port, NoPort> {
    let fault = |error| NoPort::Host { host: host.into(), error };
    let address = (host, 0).to_socket_addrs().map_err(fault)?.next();
    let address = address.ok_or_else(|| fault(io::ErrorKind::AddrNotAvailable.into()))?.ip();
    match asked_for.filter(|port| *port != 0) {
        Some(number) => take(host, address, number),
        None => match take(host, address, USUAL) {
            Err(NoPort::InUse { .. }) => any(host, address),
            other => other,
        },
    }
}

fn any(host: &str, address: IpAddr) -> Result<Port, NoPort> {
    let mut last = NoPort::InUse { host: host.into(), port: USUAL };
    for _ in 0..ATTEMPTS {
        let offered = TcpListener::bind((address, 0)).and_then(|listener| listener.local_addr());
        let number = offered.map_err(|error| NoPort::Host { host: host.into(), error })?.port();
        match take(host, address, number) {
            Ok(port) => return Ok(Port { instead_of: Some(USUAL), ..port }),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn take(host: &str, address: IpAddr, number: u16) -> Result<Port, NoPort> {
    let (in_use, denied) = (
        NoPort::InUse { host: host.into(), port: number },
        NoPort::Denied { host: host.into(), port: number },
    );
    let claim = match claim(number) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(in_use),
        other => other.ok(), // without abstract sockets there is a gap, and httpd says so
    };
    match TcpListener::bind((address, number)) {
        Ok(_) => Ok(Port { address, number, instead_of: None, _claim: claim }),
        Err(error) => Err(match error.kind() {
            io::ErrorKind::AddrInUse => in_use,
            io::ErrorKind::PermissionDenied => denied,
            _ => NoPort::Host { host: host.into(), error },
        }),
    }
}

fn claim(number: u16) -> io::Result<UnixListener> {
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(format!("wsgid-serve/{number}"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_refused_where_it_was_asked_for() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = taken.local_addr().unwrap().port();
        let refused = find("127.0.0.1", Some(number)).unwrap_err().to_string();
        assert!(refused.contains(&number.to_string()) && refused.contains("in use"), "{refused}");
    }

    #[test]
    fn two_that_do_not_care_get_two() {
        let (one, two) = (find("127.0.0.1", None).unwrap(), find("127.0.0.1", Some(0)).unwrap());
        assert_ne!(one.number, two.number);
        assert!(find("127.0.0.1", Some(one.number)).is_err(), "claimed");
        assert_eq!(two.listen(), format!("127.0.0.1:{}", two.number));
        assert!(find("192.0.2.1", None).is_err());
    }
}
