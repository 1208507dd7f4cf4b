//! Unpacking and packing the records of a batch, with a bound on what a batch may unpack to.
//!
//! The broker passes compressed batches through untouched; this is for the few places that must look inside.

use std::borrow::Cow;
use std::io::{Read, Write};

use crate::batch::BatchError;

/// The most that one batch may unpack to; a bigger one is treated as malformed.
const UNPACKED_BYTES_MAX: u64 = 128 << 20;

const GZIP: i16 = 1;
const SNAPPY: i16 = 2;
const LZ4: i16 = 3;
const ZSTD: i16 = 4;

/// The Java client's snappy framing: this magic, two versions, then blocks with a big-endian length each.
const XERIAL_MAGIC: &[u8] = &[0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
const XERIAL_HEADER_BYTES: usize = 16;

const BROKEN: BatchError = BatchError::Malformed("its records cannot be unpacked");
const UNPACKED_TOO_LARGE: BatchError = BatchError::Malformed("its records unpack to more than 128 MiB");

/// The records of a batch, unpacked. `codec` is the number in the batch's attributes.
pub(crate) fn decompress(codec: i16, packed: &[u8]) -> Result<Cow<'_, [u8]>, BatchError> {
    match codec {
        0 => Ok(Cow::Borrowed(packed)),
        GZIP => read_all(flate2::read::GzDecoder::new(packed)).map(Cow::Owned),
        SNAPPY => unpack_snappy(packed).map(Cow::Owned),
        LZ4 => read_all(lz4::Decoder::new(packed).map_err(|_| BROKEN)?).map(Cow::Owned),
        ZSTD => read_all(zstd::stream::read::Decoder::new(packed).map_err(|_| BROKEN)?).map(Cow::Owned),
        _ => Err(BatchError::Malformed("unknown compression")),
    }
}

/// Packs records with the codec of that number.
pub(crate) fn compress(codec: i16, plain: &[u8]) -> Result<Cow<'_, [u8]>, BatchError> {
    const REFUSED: BatchError = BatchError::Malformed("its records cannot be packed");
    match codec {
        0 => Ok(Cow::Borrowed(plain)),
        GZIP => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(plain).and_then(|()| encoder.finish()).map(Cow::Owned).map_err(|_| REFUSED)
        }
        SNAPPY => snap::raw::Encoder::new().compress_vec(plain).map(Cow::Owned).map_err(|_| REFUSED),
        LZ4 => {
            let mut encoder = lz4::EncoderBuilder::new()
                .block_mode(lz4::BlockMode::Independent)
                .build(Vec::new())
                .map_err(|_| REFUSED)?;
            encoder.write_all(plain).map_err(|_| REFUSED)?;
            let (packed, result) = encoder.finish();
            result.map(|()| Cow::Owned(packed)).map_err(|_| REFUSED)
        }
        ZSTD => zstd::stream::encode_all(plain, 0).map(Cow::Owned).map_err(|_| REFUSED),
        _ => Err(BatchError::Malformed("unknown compression")),
    }
}

fn read_all(reader: impl Read) -> Result<Vec<u8>, BatchError> {
    let mut out = Vec::new();
    reader.take(UNPACKED_BYTES_MAX + 1).read_to_end(&mut out).map_err(|_| BROKEN)?;
    if out.len() as u64 > UNPACKED_BYTES_MAX { Err(UNPACKED_TOO_LARGE) } else { Ok(out) }
}

fn unpack_snappy(packed: &[u8]) -> Result<Vec<u8>, BatchError> {
    let mut out = Vec::new();
    let mut block = |bytes: &[u8]| -> Result<(), BatchError> {
        let length = snap::raw::decompress_len(bytes).map_err(|_| BROKEN)?;
        if (out.len() + length) as u64 > UNPACKED_BYTES_MAX {
            return Err(UNPACKED_TOO_LARGE);
        }
        let start = out.len();
        out.resize(start + length, 0);
        snap::raw::Decoder::new().decompress(bytes, &mut out[start..]).map_err(|_| BROKEN)?;
        Ok(())
    };
    if !packed.starts_with(XERIAL_MAGIC) {
        block(packed)?;
        return Ok(out);
    }
    let mut rest = packed.get(XERIAL_HEADER_BYTES..).ok_or(BROKEN)?;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (bytes, next) = after.split_at_checked(u32::from_be_bytes(*length) as usize).ok_or(BROKEN)?;
        block(bytes)?;
        rest = next;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_codec_gives_back_what_went_in() {
        let plain = b"the quick brown fox jumps over the lazy dog ".repeat(50);
        for codec in 0..=4 {
            let packed = compress(codec, &plain).unwrap();
            assert_eq!(decompress(codec, &packed).unwrap(), plain, "codec {codec}");
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        let packed = compress(ZSTD, &vec![0; (UNPACKED_BYTES_MAX + 1) as usize]).unwrap().into_owned();
        assert!(packed.len() < 100_000);
        assert_eq!(decompress(ZSTD, &packed), Err(UNPACKED_TOO_LARGE));
    }

    #[test]
    fn the_java_snappy_framing_is_understood() {
        let mut framed = XERIAL_MAGIC.to_vec();
        framed.extend([0, 0, 0, 1, 0, 0, 0, 1]);
        for part in [&b"hello "[..], b"world"] {
            let block = compress(SNAPPY, part).unwrap();
            framed.extend((block.len() as u32).to_be_bytes());
            framed.extend(&*block);
        }
        assert_eq!(decompress(SNAPPY, &framed).unwrap(), &b"hello world"[..]);
    }

    proptest::proptest! {
        #[test]
        fn random_bytes_never_panic(codec in 0..6i16, bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = decompress(codec, &bytes);
        }
    }
}
