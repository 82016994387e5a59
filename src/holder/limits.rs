//! How often an address may ask.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::limit::Limiter;

pub(super) fn limiter(at_once: u32, interval: Duration) -> Limiter<Option<IpAddr>> {
    const DAY: Duration = Duration::from_secs(86_400);
    Limiter::new(at_once, interval.min(DAY))
}

/// What an address counts as: one customer has a whole network of IPv6 to choose from.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = address.to_bits() & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from_bits(network))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_counts_as_its_network() {
        for (address, counts_as) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(network(address), counts_as.parse::<IpAddr>().unwrap());
        }
    }
}
