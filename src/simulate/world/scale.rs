//! Changes of the configuration while it runs: more replicas, fewer, other names, another stack.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::command::Asked;
use super::{Key, Process, Refusal, Taken, Then, World};
use crate::simulate::script::{Spec, Stack};
use crate::simulate::truth::{Because, What};

/// What a reload changes.
#[derive(Debug)]
pub(in crate::simulate) struct Change {
    removed: Vec<Key>,
    added: Vec<(String, Arc<Spec>)>,
    updated: Vec<(String, Arc<Spec>)>,
}

impl World {
    /// Puts the replicas of a group into the world; they do not run yet.
    pub(super) fn enter(&mut self, group: &str, spec: &Arc<Spec>, number: u32, count: u32) -> Key {
        let (key, seed) = (self.number(), self.rules.seed);
        let mut process = Process::new(key, group, number, Arc::clone(spec), seed);
        process.replicas = count;
        process.name = Stack::replica_name(group, number, count);
        self.ghosts.remove(&process.name);
        self.names.insert(process.name.clone(), key);
        self.processes.insert(key, process);
        key
    }

    pub(super) fn group(&self, group: &str) -> Vec<Key> {
        let mut members: Vec<&Process> = self
            .processes
            .values()
            .filter(|p| p.group == group)
            .collect();
        members.sort_by_key(|p| p.number);
        members.iter().map(|p| p.key).collect()
    }

    /// Changes the number of replicas of the group that `name`, a replica, belongs to.
    ///
    /// # Errors
    ///
    /// Unknown (a group's name is none once it has replicas), less than one, scheduled or watched, or a name that is taken.
    pub fn scale(&mut self, name: &str, to: i64) -> Result<Taken, Refusal> {
        let key = self
            .names
            .get(name)
            .copied()
            .ok_or_else(|| Refusal(format!("no such process: {name}")))?;
        let Some(process) = self.processes.get(&key) else {
            return Err(Refusal(format!("no such process: {name}")));
        };
        let to = u32::try_from(to).ok().filter(|n| (1..=10_000).contains(n));
        let to =
            to.ok_or_else(|| Refusal(format!("cannot scale {name} to a negative or zero value")))?;
        if process.spec.schedule.is_some() || process.spec.watch.is_some() {
            return Err(Refusal(format!(
                "cannot scale {name}: scheduled and watched processes have no replicas"
            )));
        }
        let (group, spec) = (process.group.clone(), Arc::clone(&process.spec));
        let members = self.group(&group);
        let foreign = |n: u32| {
            self.names
                .get(&Stack::replica_name(&group, n, to))
                .filter(|k| !members.contains(k))
        };
        if let Some(taken) = (0..to).find(|n| foreign(*n).is_some()) {
            return Err(Refusal(format!(
                "process {} already exists",
                Stack::replica_name(&group, taken, to)
            )));
        }
        let have = u32::try_from(members.len()).unwrap_or(u32::MAX);
        let taken = if to < have {
            self.scale_down(group, &members, to)
        } else {
            self.scale_up(&group, &members, &spec, to)
        };
        self.settle();
        Ok(taken)
    }

    fn scale_up(&mut self, group: &str, members: &[Key], spec: &Arc<Spec>, to: u32) -> Taken {
        self.rename_all(members, to);
        let have = u32::try_from(members.len()).unwrap_or(u32::MAX);
        let fresh: Vec<Key> = (have..to)
            .map(|number| self.enter(group, spec, number, to))
            .collect();
        for key in fresh {
            self.fact(key, What::Added, Because::Scale, |_| ());
            if !spec.disabled {
                self.begin(key, Because::Scale);
            }
        }
        Taken::Now
    }

    fn scale_down(&mut self, group: String, members: &[Key], to: u32) -> Taken {
        let mut waits = Vec::new();
        for key in members.iter().rev().take(
            members
                .len()
                .saturating_sub(usize::try_from(to).unwrap_or(usize::MAX)),
        ) {
            if let Asked::Ending(stamp) = self.terminate(*key, Because::Scale) {
                waits.push((*key, stamp));
            }
        }
        Taken::Later(self.errand(waits, Duration::ZERO, Then::FinishScale { group, to }))
    }

    pub(super) fn finish_scale(&mut self, group: &str, to: u32) {
        let members = self.group(group);
        let (kept, gone) =
            members.split_at(members.len().min(usize::try_from(to).unwrap_or(usize::MAX)));
        for key in gone {
            self.remove(*key, Because::Scale);
        }
        self.rename_all(kept, to);
    }

    /// Gives replicas the names they have among `count`; pid, counters and log lines stay, those who follow the log lose it.
    fn rename_all(&mut self, members: &[Key], count: u32) {
        let mut renamed = Vec::new();
        for key in members {
            let log = self.number();
            let Some(process) = self.processes.get_mut(key) else {
                continue;
            };
            process.replicas = count;
            let name = Stack::replica_name(&process.group, process.number, count);
            if name != process.name {
                let from = std::mem::replace(&mut process.name, name);
                process.log = log;
                self.names.remove(&from);
                renamed.push((*key, from));
            }
        }
        for (key, from) in renamed {
            if let Some(process) = self.processes.get(&key) {
                self.names.insert(process.name.clone(), key);
            }
            self.fact(key, What::Renamed, Because::Scale, |r| r.from = Some(from));
        }
    }

    fn remove(&mut self, key: Key, because: Because) {
        self.expel(key, because);
        self.fact(key, What::Removed, because, |_| ());
        let Some(process) = self.processes.remove(&key) else {
            return;
        };
        self.names.remove(&process.name);
        // Asked for by its name it goes on answering with its last state; only the list knows that it is gone.
        if because == Because::Reload {
            self.ghosts.insert(process.name, process.shown);
        }
    }

    /// Takes another configuration: what it adds, removes and changes, by name.
    pub fn reload(&mut self, stack: Stack) -> (BTreeMap<String, &'static str>, Taken) {
        let mut answer = BTreeMap::new();
        let mut change = Change {
            removed: Vec::new(),
            added: Vec::new(),
            updated: Vec::new(),
        };
        let mut leaving = Vec::new();
        for (group, old) in &self.stack.processes {
            let word = match stack.processes.get(group) {
                Some(new) if new == old => continue,
                Some(new) => {
                    change.updated.push((group.clone(), Arc::new(new.clone())));
                    "updated"
                }
                None => "removed",
            };
            for key in self.group(group) {
                if let Some(process) = self.processes.get(&key) {
                    answer.insert(process.name.clone(), word);
                }
                leaving.push(key);
                if word == "removed" {
                    change.removed.push(key);
                }
            }
        }
        for (group, new) in stack
            .processes
            .iter()
            .filter(|(group, _)| !self.stack.processes.contains_key(*group))
        {
            for number in 0..new.count() {
                answer.insert(Stack::replica_name(group, number, new.count()), "added");
            }
            change.added.push((group.clone(), Arc::new(new.clone())));
        }
        let mut waits = Vec::new();
        for key in leaving {
            if let Asked::Ending(stamp) = self.terminate(key, Because::Reload) {
                waits.push((key, stamp));
            }
        }
        self.stack.processes = stack.processes;
        let ticket = self.errand(waits, Duration::ZERO, Then::FinishReload(Box::new(change)));
        self.settle();
        (
            answer,
            if self.errands.contains_key(&ticket) {
                Taken::Later(ticket)
            } else {
                Taken::Now
            },
        )
    }

    pub(super) fn finish_reload(&mut self, change: Change) {
        for key in change.removed {
            self.remove(key, Because::Reload);
        }
        for (group, spec) in change.updated {
            // Made anew under the same name: nothing was added or removed, but everything starts over.
            for key in self.group(&group) {
                self.expel(key, Because::Reload);
                if let Some(process) = self.processes.remove(&key) {
                    self.names.remove(&process.name);
                }
            }
            self.enter_group(&group, &spec, Because::Reload);
        }
        for (group, spec) in change.added {
            for key in self.enter_group(&group, &spec, Because::Reload) {
                self.fact(key, What::Added, Because::Reload, |_| ());
            }
        }
    }

    /// Puts a group into the world and starts what starts by itself.
    pub(super) fn enter_group(
        &mut self,
        group: &str,
        spec: &Arc<Spec>,
        because: Because,
    ) -> Vec<Key> {
        let keys: Vec<Key> = (0..spec.count())
            .map(|number| self.enter(group, spec, number, spec.count()))
            .collect();
        for key in &keys {
            if spec.disabled || spec.foreground {
                continue;
            }
            self.arm(*key);
            let waits_for_tick = spec.schedule.is_some_and(|s| !s.run_on_start)
                && self
                    .processes
                    .get(key)
                    .is_some_and(|p| p.next_run.is_some());
            if !waits_for_tick {
                self.begin(*key, because);
            }
        }
        keys
    }
}
