//! Values whose end takes time, such as a client's threads: they end on a thread of their own, never on the runtime's.

use std::ops::Deref;
use std::thread;

/// A value that is dropped on a thread of its own.
pub(crate) struct Aside<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> Aside<T> {
    pub(crate) fn new(value: T) -> Aside<T> {
        Aside(Some(value))
    }
}

impl<T: Send + 'static> Deref for Aside<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_ref().expect("it is taken only when this is dropped")
    }
}

impl<T: Send + 'static> Drop for Aside<T> {
    fn drop(&mut self) {
        let value = self.0.take();
        // A thread that cannot be had gives the value back, which ends here then.
        drop(thread::Builder::new().name("kafka-end".to_owned()).spawn(move || drop(value)));
    }
}

#[cfg(test)]
mod tests {
    use super::Aside;
    use std::sync::mpsc::{Receiver, Sender, channel};

    struct Slow(Receiver<()>, Sender<()>);

    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.recv().expect("the test lets it end");
            self.1.send(()).expect("the test waits for it");
        }
    }

    #[test]
    fn whoever_drops_does_not_wait() {
        let ((go, wait), (done, ended)) = (channel(), channel());
        drop(Aside::new(Slow(wait, done)));
        go.send(()).unwrap();
        ended.recv().unwrap();
    }
}
