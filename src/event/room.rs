//! Room for lists that may grow large.
//!
//! The allocator of glibc asks the system for a piece of its own where a large one is wanted, and gives it back when it is
//! freed. But the first piece that is freed makes it take everything of up to that size from its heap from then on, and keep
//! twice as much free memory at the end of that heap (mallopt(3), `M_MMAP_THRESHOLD`), so that one look at ten thousand
//! processes leaves megabytes behind for good. Pieces beyond [`APART`] have no such effect. So what grows large gets that much at
//! once: addresses, of which only what is written to becomes memory, by pages (of two megabytes where the system gives large
//! ones to everybody).

/// Up to so many bytes what the allocator learns does no harm.
const SMALL: usize = 512 * 1024;
/// A piece of so many bytes is the system's, whatever was freed before: 32 MiB is the most that the allocator learns, and
/// half a mebibyte where addresses are short.
const APART: usize = if cfg!(target_pointer_width = "64") {
    33 * 1024 * 1024
} else {
    1024 * 1024
};

/// Makes room for so many more elements.
pub(crate) fn make_room<T>(list: &mut Vec<T>, more: usize) {
    let wanted = list.len().saturating_add(more);
    if wanted <= list.capacity() {
        return;
    }
    let doubled = wanted.max(2 * list.capacity());
    let size = size_of::<T>().max(1);
    if doubled.saturating_mul(size) <= SMALL {
        list.reserve(more);
        return;
    }
    let room = doubled.max(APART / size);
    // Where addresses are short, what is needed is enough.
    if list.try_reserve_exact(room - list.len()).is_err() {
        list.reserve(more);
    }
}

/// Gives back what a small list has left over. Of a piece apart nothing but addresses is.
pub(crate) fn trim<T>(list: &mut Vec<T>) {
    if list.capacity().saturating_mul(size_of::<T>()) <= SMALL {
        list.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_small_gets_what_it_needs_and_what_grows_large_gets_a_piece_apart() {
        let mut list: Vec<u64> = Vec::new();
        for number in 0..50_000 {
            make_room(&mut list, 1);
            list.push(number);
        }
        assert!(list.capacity() <= SMALL / 8, "{}", list.capacity());
        make_room(&mut list, 50_000);
        assert!(list.capacity() >= APART / 8, "{}", list.capacity());
        assert!(list.into_iter().eq(0..50_000));
    }

    #[test]
    fn what_is_left_over_of_a_small_list_is_given_back() {
        let mut list = Vec::with_capacity(100);
        list.push(7_u64);
        trim(&mut list);
        assert_eq!((list.capacity(), list.as_slice()), (1, &[7][..]));
        let mut apart: Vec<u8> = Vec::with_capacity(APART);
        trim(&mut apart);
        assert_eq!(apart.capacity(), APART);
    }

    #[test]
    fn room_that_is_there_is_not_made_again() {
        let mut list = Vec::with_capacity(7);
        make_room::<u8>(&mut list, 7);
        assert_eq!(list.capacity(), 7);
    }

    #[test]
    fn what_outgrows_its_piece_doubles() {
        let mut bytes = vec![0_u8; APART + 1];
        make_room(&mut bytes, 1);
        assert!(bytes.capacity() >= 2 * APART, "{}", bytes.capacity());
    }
}
