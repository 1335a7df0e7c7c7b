//! Requests that concern a whole namespace.

use std::time::Duration;

use super::command::Asked;
use super::{Key, Refusal, Taken, Then, World};
use crate::simulate::script::Names;
use crate::simulate::truth::Because;

/// A namespace restart waits so long.
const NAMESPACE_PAUSE: Duration = Duration::from_millis(100);

impl World {
    fn members(&self, namespace: &str) -> Result<Vec<Key>, Refusal> {
        let members: Vec<Key> = self
            .processes
            .values()
            .filter(|p| p.is_member(namespace) && !p.spec.foreground)
            .map(|p| p.key)
            .collect();
        if members.is_empty() {
            Err(Refusal(format!(
                "no processes found in namespace {namespace}"
            )))
        } else {
            Ok(members)
        }
    }

    /// Starts what does not run in a namespace.
    ///
    /// # Errors
    ///
    /// There is no such namespace.
    pub fn namespace_start(&mut self, namespace: &str) -> Result<Taken, Refusal> {
        for key in self.members(namespace)? {
            if self.processes.get(&key).is_some_and(|p| p.run.is_none()) {
                self.arm(key);
                self.begin(key, Because::UserStart);
            }
        }
        self.settle();
        Ok(Taken::Now)
    }

    /// Stops what runs in a namespace.
    ///
    /// # Errors
    ///
    /// There is no such namespace.
    pub fn namespace_stop(&mut self, namespace: &str) -> Result<Taken, Refusal> {
        let waits = self.stop_members(namespace, Because::UserStop)?;
        let waits: Vec<_> = waits
            .into_iter()
            .filter(|(key, _)| {
                self.processes
                    .get(key)
                    .is_some_and(|p| p.spec.stop.timeout.is_some())
            })
            .collect();
        let taken = if waits.is_empty() {
            Taken::Now
        } else {
            Taken::Later(self.errand(waits, Duration::ZERO, Then::Answer))
        };
        self.settle();
        Ok(taken)
    }

    /// Stops what runs in a namespace, waits for it, starts all of it.
    ///
    /// # Errors
    ///
    /// There is no such namespace.
    pub fn namespace_restart(&mut self, namespace: &str) -> Result<Taken, Refusal> {
        let keys = self.members(namespace)?;
        let waits = self.stop_members(namespace, Because::UserRestart)?;
        let ticket = self.errand(
            waits,
            NAMESPACE_PAUSE,
            Then::Begin {
                keys,
                because: Because::UserRestart,
            },
        );
        self.settle();
        Ok(Taken::Later(ticket))
    }

    fn stop_members(
        &mut self,
        namespace: &str,
        because: Because,
    ) -> Result<Vec<(Key, u64)>, Refusal> {
        let mut waits = Vec::new();
        for key in self.members(namespace)? {
            if let Ok(Asked::Ending(stamp)) = self.stop_key(key, because) {
                waits.push((key, stamp));
            }
        }
        Ok(waits)
    }

    /// All namespaces, sorted.
    pub fn namespaces(&self) -> Vec<String> {
        let mut all: Vec<String> = self
            .processes
            .values()
            .map(|p| &p.spec.namespace)
            .flat_map(Names::all)
            .cloned()
            .collect();
        all.sort();
        all.dedup();
        all
    }
}
