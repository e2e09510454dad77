//! The encrypted form of a file: a line that says what it is, a nonce, and the content in ChaCha20-Poly1305 (RFC 8439,
//! by the `ring` crate), which also vouches for the line. Each writing draws a nonce of its own.

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};

use super::key::Key;

/// What the file of secrets begins with.
pub(super) const SECRETS: &[u8] = b"berth secrets 1\n";
/// What the file of access keys begins with.
pub(super) const ACCESS_KEYS: &[u8] = b"berth access keys 1\n";

/// Why bytes are no content.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OpenError {
    /// They do not begin as they should.
    Format,
    /// They were not sealed with this key, or were changed since.
    Sealed,
}

/// Encrypts.
pub(super) fn seal(key: &Key, head: &[u8], content: &[u8]) -> Option<Vec<u8>> {
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).ok()?;
    let mut sealed = content.to_vec();
    cipher(key).seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(head), &mut sealed).ok()?;
    Some([head, &nonce, &sealed].concat())
}

/// Decrypts.
pub(super) fn open(key: &Key, head: &[u8], bytes: &[u8]) -> Result<Vec<u8>, OpenError> {
    let rest = bytes.strip_prefix(head).ok_or(OpenError::Format)?;
    let (nonce, sealed) = rest.split_at_checked(NONCE_LEN).ok_or(OpenError::Format)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenError::Format)?;
    let mut content = sealed.to_vec();
    let opened = cipher(key).open_in_place(nonce, Aad::from(head), &mut content);
    let length = opened.map_err(|_| OpenError::Sealed)?.len();
    content.truncate(length);
    Ok(content)
}

fn cipher(key: &Key) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, &key.0).expect("a key of this cipher has this length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_by_its_key_alone() {
        let (one, two) = (Key([1; 32]), Key([2; 32]));
        let sealed = seal(&one, SECRETS, b"hush").unwrap();
        assert!(!sealed.windows(4).any(|part| part == b"hush"));
        assert_eq!(open(&one, SECRETS, &sealed).unwrap(), b"hush");
        assert_eq!(open(&two, SECRETS, &sealed), Err(OpenError::Sealed));
        assert_eq!(open(&one, ACCESS_KEYS, &sealed), Err(OpenError::Format), "one file is not the other");
        assert_ne!(seal(&one, SECRETS, b"hush").unwrap(), sealed, "each has a nonce of its own");
    }

    #[test]
    fn a_byte_that_was_changed_is_seen_wherever_it_is() {
        let key = Key([7; 32]);
        let sealed = seal(&key, SECRETS, b"hush").unwrap();
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            let expected = if place < SECRETS.len() { OpenError::Format } else { OpenError::Sealed };
            assert_eq!(open(&key, SECRETS, &changed), Err(expected), "byte {place}");
        }
        assert_eq!(open(&key, SECRETS, &sealed[..20]), Err(OpenError::Format));
        assert_eq!(open(&key, SECRETS, &sealed[..sealed.len() - 1]), Err(OpenError::Sealed));
    }
}
