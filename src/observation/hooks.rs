//! What the user of a runtime hangs into its loop.

use std::sync::Arc;

use futures_util::future::BoxFuture;

use super::delta::Delta;
use super::ended::EndKind;

/// A hook that is awaited once.
type Once<A> = Box<dyn FnOnce(A) -> BoxFuture<'static, ()> + Send>;
/// A hook that is awaited again and again.
type Often<A> = Box<dyn FnMut(A) -> BoxFuture<'static, ()> + Send>;

/// What the user of a runtime has hung into it.
pub(super) struct Hooks<E> {
    pub(super) start: Option<Once<()>>,
    pub(super) commit: Option<Often<Arc<Delta<E>>>>,
    pub(super) end: Option<Once<EndKind>>,
}

impl<E> Default for Hooks<E> {
    fn default() -> Self {
        Self {
            start: None,
            commit: None,
            end: None,
        }
    }
}
