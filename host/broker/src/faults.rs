//! Faults that tests inject: what a network or a slow broker does to requests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::lock;

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request is handled after this time.
    Delay(Duration),
    /// The connection is closed and the request is not handled.
    DropRequest,
    /// The request is handled, but the connection is closed in place of an answer.
    DropResponse,
    /// The request is handled twice, as if it had been sent again; the client gets the second answer.
    Duplicate,
}

/// Injects faults into a running broker. Clones act on the same broker.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    planned: Arc<Mutex<Vec<Planned>>>,
}

#[derive(Debug)]
struct Planned {
    api_key: i16,
    fault: Fault,
    times: u32,
}

/// Faults that can wait for their request at the same time.
const PLANNED_MAX: usize = 1_000;

impl Faults {
    /// The next `times` requests with this API key (the number in Kafka's protocol) meet the fault. Faults for the same
    /// key are used in the order in which they were injected; beyond a thousand waiting ones new ones are ignored.
    pub fn inject(&self, api_key: i16, fault: Fault, times: u32) {
        let mut planned = lock(&self.planned);
        if times > 0 && planned.len() < PLANNED_MAX {
            planned.push(Planned { api_key, fault, times });
        }
    }

    /// Forgets all faults that have not happened yet.
    pub fn clear(&self) {
        lock(&self.planned).clear();
    }

    /// The fault that a request meets.
    pub(crate) fn next(&self, api_key: i16) -> Option<Fault> {
        let mut planned = lock(&self.planned);
        let at = planned.iter().position(|fault| fault.api_key == api_key)?;
        let fault = planned[at].fault;
        planned[at].times -= 1;
        if planned[at].times == 0 {
            planned.remove(at);
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_happen_in_order_and_as_often_as_asked() {
        let faults = Faults::default();
        faults.inject(1, Fault::DropRequest, 2);
        faults.inject(1, Fault::Duplicate, 1);
        faults.inject(2, Fault::DropResponse, 0);
        assert_eq!(faults.next(0), None);
        assert_eq!(faults.next(2), None);
        let met: Vec<_> = std::iter::from_fn(|| faults.next(1)).collect();
        assert_eq!(met, [Fault::DropRequest, Fault::DropRequest, Fault::Duplicate]);
    }
}
