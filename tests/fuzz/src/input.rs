//! An input's fields: numbers of one byte, texts behind a length of two bytes, and the rest. Simple
//! enough for a mutation to change one field and leave the others, and for seeds to be written by hand.
//! Reading never fails: what is missing is zero or empty.

/// Reads fields.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    /// Begins with the first field.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// One byte.
    pub fn number(&mut self) -> u8 {
        let Some((first, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        *first
    }

    /// Two bytes.
    pub fn large_number(&mut self) -> u16 {
        u16::from_le_bytes([self.number(), self.number()])
    }

    /// The lowest bit of a byte.
    pub fn flag(&mut self) -> bool {
        self.number() & 1 == 1
    }

    /// Bytes behind their length; fewer where the input ends.
    pub fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.large_number()).min(self.rest.len());
        let (bytes, rest) = self.rest.split_at(length);
        self.rest = rest;
        bytes
    }

    /// Everything that is left.
    pub fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Is nothing left?
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }
}

/// Writes fields.
#[derive(Debug, Clone, Default)]
pub struct Seed {
    bytes: Vec<u8>,
}

impl Seed {
    /// One byte.
    pub fn number(mut self, number: u8) -> Self {
        self.bytes.push(number);
        self
    }

    /// Two bytes.
    pub fn large_number(mut self, number: u16) -> Self {
        self.bytes.extend(number.to_le_bytes());
        self
    }

    /// Bytes behind their length.
    ///
    /// # Panics
    /// If there are more than a length of two bytes can say.
    pub fn bytes(self, bytes: impl AsRef<[u8]>) -> Self {
        let length = u16::try_from(bytes.as_ref().len()).expect("a seed is small");
        self.large_number(length).rest(bytes)
    }

    /// Bytes as they are.
    pub fn rest(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.bytes.extend(bytes.as_ref());
        self
    }

    /// The whole input.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
