//! Chance with a seed: SplitMix64, which gives good numbers from any starting point.

/// The random numbers of one record.
pub(crate) struct Chance(u64);

impl Chance {
    /// Those of record `index` under `seed`.
    pub(crate) fn of(seed: u64, index: u64) -> Chance {
        let mut chance = Chance(seed);
        // Through the mixer once, so that neighbouring seeds have nothing in common.
        let start = chance.next();
        Chance(start ^ index.wrapping_mul(0xD134_2543_DE82_EF95))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`, which must not be 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // The high bits of a product instead of a remainder: faster, and no less even.
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }

    /// A number from 0 to below 1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of some things, the first ones more often: a few customers and pages make most of the traffic.
    pub(crate) fn skewed_below(&mut self, end: u64) -> u64 {
        let unit = self.unit();
        (unit * unit * end as f64) as u64
    }

    pub(crate) fn one_of<'t>(&mut self, texts: &[&'t str]) -> &'t str {
        texts[self.below(texts.len() as u64) as usize]
    }
}
