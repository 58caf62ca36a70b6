//! A seeded spot market, and what policies make of it: the proof that allocation reaches its target
//! whenever there is capacity. `benches/allocation.rs` prints the comparison over 1,000 markets.
//!
//! A market has 2 to 5 regions with 3 or 4 zones, and 3 to 6 types. How tight a pool is comes from its
//! own and its zone's standing tightness, and from shocks that come and go by the hour. Prices follow
//! the standing part alone, as AWS's smoothed prices do; scores see the capacity of the hour, with noise.

use spot::cloud::allocation::{Allocation, Placed, PoolMarket, Refused, RegionMarket, Spread, Wanted};
use spot::cloud::{Architecture, Family, Market, Quota};

/// vCPUs of every type here: with one size, what quotas have room for is a plain sum.
const VCPU: u32 = 2;
/// The part of an hour that a new instance needs to boot and be set up.
const SETUP: f64 = 1.0 / 6.0;

/// How instances are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// One type in the first zone of every region, the number split evenly.
    OneType,
    /// EC2's `lowest-price`: the number split evenly over the regions, in each the cheapest pools first.
    LowestPrice,
    /// [`Allocation`] with a spread.
    Allocated(Spread),
}

/// What a policy made of a market.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    /// Instances wanted.
    pub count: u32,
    /// Instances that all regions together could have given at the start.
    pub possible: u32,
    /// Instances running after the first hour's asking.
    pub reached: u32,
    /// Those of them that came in the first round: one order for each region.
    pub at_once: u32,
    /// Pools that gave less than they were asked for, in all hours.
    pub refusals: u32,
    /// Instance-hours that were paid, in part or in full.
    pub hours: f64,
    /// Instance-hours in which work was done and not lost.
    pub useful: f64,
    /// US dollars.
    pub cost: f64,
    /// Instances that were taken back.
    pub interruptions: u32,
}

/// Numbers that a seed decides (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    fn whole(&mut self, low: u32, high: u32) -> u32 {
        low + u32::try_from(self.next() % u64::from(high - low + 1)).unwrap()
    }

    /// About normal, with deviation 1.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

struct Pool {
    region: usize,
    zone: usize,
    zone_name: String,
    instance_type: String,
    on_demand: f64,
    /// Standing tightness, 0 to 1.
    tight: f64,
    shock: f64,
    price: f64,
    capacity: u32,
}

struct World {
    dice: Dice,
    count: u32,
    scale: f64,
    pools: Vec<Pool>,
    zones: Vec<(f64, f64)>,
    quotas: Vec<Option<u32>>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut dice = Dice(seed);
        let (regions, types) = (dice.whole(2, 5) as usize, dice.whole(3, 6));
        let count = dice.whole(4, 60);
        let scale = dice.between(0.1, 0.9);
        let list: Vec<f64> = (0..types).map(|_| dice.between(0.06, 0.2)).collect();
        let mut world =
            World { dice, count, scale, pools: Vec::new(), zones: Vec::new(), quotas: Vec::new() };
        for region in 0..regions {
            let dear = world.dice.between(0.95, 1.2);
            for letter in ['a', 'b', 'c', 'd'].iter().take(world.dice.whole(3, 4) as usize) {
                let standing = world.dice.unit();
                world.zones.push((standing, 0.0));
                for (number, on_demand) in list.iter().enumerate() {
                    // Not every zone offers every type; the first always does.
                    if number > 0 && world.dice.unit() < 0.15 {
                        continue;
                    }
                    let tight = 0.5 * world.dice.unit() + 0.5 * standing;
                    world.pools.push(Pool {
                        region,
                        zone: world.zones.len() - 1,
                        zone_name: format!("r{region}{letter}"),
                        instance_type: format!("m{number}.large"),
                        on_demand: on_demand * dear,
                        tight,
                        shock: 0.0,
                        price: 0.0,
                        capacity: 0,
                    });
                }
            }
            let bounded = world.dice.unit() < 0.3;
            let room = world.dice.whole(0, 2 * count) * VCPU;
            world.quotas.push(bounded.then_some(room));
        }
        world.hour();
        world
    }

    /// An hour goes by.
    fn hour(&mut self) {
        let World { dice, count, scale, pools, zones, .. } = self;
        for (_, shock) in zones.iter_mut() {
            *shock = 0.7 * *shock + 0.15 * dice.normal();
        }
        for pool in pools {
            pool.shock = 0.7 * pool.shock + 0.1 * dice.normal();
            let now = pool.tight + pool.shock + zones[pool.zone].1;
            pool.capacity = (f64::from(*count) * *scale * (0.9 - now).max(0.0)).floor() as u32;
            let share = (0.25 + 0.4 * pool.tight) * (1.0 + 0.08 * dice.normal());
            pool.price = pool.on_demand * share.clamp(0.1, 1.0);
        }
    }

    fn regions(&self) -> usize {
        self.quotas.len()
    }

    /// What all regions together can give to who has nothing.
    fn possible(&self) -> u32 {
        (0..self.regions())
            .map(|region| {
                let all: u32 = self.pools.iter().filter(|it| it.region == region).map(|it| it.capacity).sum();
                self.quotas[region].map_or(all, |room| all.min(room / VCPU))
            })
            .sum()
    }
}

/// A fleet in a world: how many run in each pool.
struct Fleet {
    world: World,
    /// Of the scores; apart, so that every policy meets the same market.
    noise: Dice,
    running: Vec<u32>,
    /// Those of them that came in this hour.
    fresh: Vec<u32>,
    outcome: Outcome,
}

impl Fleet {
    /// Asks a pool; it gives what it has.
    fn ask(&mut self, pool: usize, wanted: u32) -> u32 {
        let it = &self.world.pools[pool];
        let mut free = it.capacity.saturating_sub(self.running[pool]);
        if let Some(room) = self.world.quotas[it.region] {
            free = free.min((room / VCPU).saturating_sub(self.in_region(it.region)));
        }
        let given = wanted.min(free);
        self.running[pool] += given;
        self.fresh[pool] += given;
        if given < wanted {
            self.outcome.refusals += 1;
        }
        given
    }

    fn in_region(&self, region: usize) -> u32 {
        self.running.iter().zip(&self.world.pools).filter(|(_, it)| it.region == region).map(|(n, _)| n).sum()
    }

    fn size(&self) -> u32 {
        self.running.iter().sum()
    }

    /// Asks for what is missing; returns how many came in the first round.
    fn fill(&mut self, policy: Policy) -> u32 {
        let missing = self.world.count - self.size();
        if missing == 0 {
            return 0;
        }
        match policy {
            Policy::Allocated(spread) => self.fill_allocated(missing, spread),
            Policy::OneType | Policy::LowestPrice => {
                let regions = u32::try_from(self.world.regions()).unwrap();
                let mut at_once = 0;
                for region in 0..regions {
                    let share = self.world.count / regions + u32::from(region < self.world.count % regions);
                    let region = region as usize;
                    let mut open = share.saturating_sub(self.in_region(region));
                    let mut pools: Vec<usize> = (0..self.world.pools.len())
                        .filter(|pool| self.world.pools[*pool].region == region)
                        .collect();
                    if policy == Policy::OneType {
                        pools.truncate(1);
                    } else {
                        pools.sort_by(|a, b| {
                            self.world.pools[*a].price.total_cmp(&self.world.pools[*b].price)
                        });
                    }
                    for pool in pools {
                        if open == 0 {
                            break;
                        }
                        let given = self.ask(pool, open);
                        open -= given;
                        at_once += given;
                    }
                }
                at_once
            }
        }
    }

    fn fill_allocated(&mut self, missing: u32, spread: Spread) -> u32 {
        let wanted = Wanted { count: missing, spread, ..Wanted::default() };
        let mut plan = Allocation::decide(wanted, self.markets(missing)).unwrap();
        let (mut at_once, mut first) = (0, true);
        let mut asked = std::collections::HashSet::new();
        while plan.count > 0 {
            let (mut placed, mut refused) = (Vec::new(), Vec::new());
            for share in &plan.regions {
                let mut open = share.count;
                for choice in &share.pools {
                    if open == 0 {
                        break;
                    }
                    let pool = self.pool(&choice.zone, &choice.instance_type);
                    let (given, before) = (self.ask(pool, open), open);
                    open -= given;
                    at_once += if first { given } else { 0 };
                    let one = Placed {
                        region: share.region.clone(),
                        zone: choice.zone.clone(),
                        instance_type: choice.instance_type.clone(),
                        market: Market::Spot,
                    };
                    if given < before {
                        assert!(asked.insert(pool), "a pool that refused is asked again");
                        refused.push(Refused {
                            region: one.region.clone(),
                            zone: one.zone.clone(),
                            instance_type: one.instance_type.clone(),
                            market: Market::Spot,
                            code: "InsufficientInstanceCapacity".to_owned(),
                        });
                    }
                    placed.extend(std::iter::repeat_n(one, given as usize));
                }
            }
            first = false;
            plan = plan.again(&placed, &refused);
        }
        at_once
    }

    fn pool(&self, zone: &str, instance_type: &str) -> usize {
        let same = |it: &Pool| it.zone_name == zone && it.instance_type == instance_type;
        self.world.pools.iter().position(same).unwrap()
    }

    /// What can be known of the market: prices, quotas and noisy scores.
    fn markets(&mut self, wanted: u32) -> Vec<RegionMarket> {
        let free: Vec<u32> = (0..self.world.pools.len())
            .map(|pool| self.world.pools[pool].capacity.saturating_sub(self.running[pool]))
            .collect();
        let mut score = |free: u32| {
            let exact = 10.0 * f64::from(free.min(wanted)) / f64::from(wanted);
            Some((exact + 1.5 * self.noise.normal()).round().clamp(1.0, 10.0) as u8)
        };
        let of_zone: Vec<Option<u8>> = (0..self.world.zones.len())
            .map(|zone| {
                score(
                    free.iter()
                        .zip(&self.world.pools)
                        .filter(|(_, it)| it.zone == zone)
                        .map(|(n, _)| n)
                        .sum(),
                )
            })
            .collect();
        let of_region: Vec<Option<u8>> = (0..self.world.quotas.len())
            .map(|region| {
                score(
                    free.iter()
                        .zip(&self.world.pools)
                        .filter(|(_, it)| it.region == region)
                        .map(|(n, _)| n)
                        .sum(),
                )
            })
            .collect();
        (0..self.world.regions())
            .map(|region| RegionMarket {
                fixed: None,
                region: format!("r{region}"),
                score: of_region[region],
                pools: self
                    .world
                    .pools
                    .iter()
                    .filter(|it| it.region == region)
                    .map(|it| PoolMarket {
                        instance_type: it.instance_type.clone(),
                        zone: it.zone_name.clone(),
                        vcpu: VCPU,
                        memory_mib: 8192,
                        architecture: Architecture::X86_64,
                        spot_offered: true,
                        spot: Some(it.price),
                        on_demand: Some(it.on_demand),
                        score: of_zone[it.zone],
                        refused: Vec::new(),
                    })
                    .collect(),
                quotas: self.world.quotas[region]
                    .map(|limit| Quota {
                        region: format!("r{region}"),
                        market: Market::Spot,
                        family: Family::Standard,
                        code: "L-34B43A08".to_owned(),
                        limit: Some(limit),
                        used: self.in_region(region) * VCPU,
                    })
                    .into_iter()
                    .collect(),
                problem: None,
            })
            .collect()
    }

    /// An hour goes by: pools that shrank take instances back, the newest last. An instance that is
    /// taken back is paid for half the hour, and its work of that hour is lost.
    fn hour(&mut self) {
        let paid: Vec<f64> = self.world.pools.iter().map(|pool| pool.price).collect();
        self.world.hour();
        for (pool, price) in paid.into_iter().enumerate() {
            let before = self.running[pool];
            let taken = before.saturating_sub(self.world.pools[pool].capacity);
            self.running[pool] = before - taken;
            self.outcome.interruptions += taken;
            let (stay, taken) = (f64::from(before - taken), f64::from(taken));
            self.outcome.hours += stay + 0.5 * taken;
            self.outcome.cost += price * (stay + 0.5 * taken);
            let new = f64::from(self.fresh[pool]).min(stay);
            self.outcome.useful += stay - new * SETUP;
            self.fresh[pool] = 0;
        }
    }
}

/// Runs a policy in the market of a seed for some hours; what is taken back is asked for anew.
pub fn simulate(seed: u64, policy: Policy, hours: u32) -> Outcome {
    let world = World::new(seed);
    let pools = world.pools.len();
    let outcome = Outcome { count: world.count, possible: world.possible(), ..Outcome::default() };
    let mut fleet =
        Fleet { world, noise: Dice(!seed), running: vec![0; pools], fresh: vec![0; pools], outcome };
    fleet.outcome.at_once = fleet.fill(policy);
    fleet.outcome.reached = fleet.size();
    for hour in 0..hours {
        if hour > 0 {
            fleet.fill(policy);
        }
        fleet.hour();
    }
    fleet.outcome
}

#[test]
fn the_target_is_reached_whenever_there_is_capacity() {
    let (mut enough, mut short) = (0, 0);
    for seed in 0..300 {
        for spread in [Spread::Balanced, Spread::Even, Spread::Cheapest, Spread::Capacity] {
            let made = simulate(seed, Policy::Allocated(spread), 0);
            let target = made.count.min(made.possible);
            assert_eq!(made.reached, target, "seed {seed}, {spread:?}: {made:?}");
            if target == made.count { enough += 1 } else { short += 1 }
        }
    }
    // Both kinds of market are among them.
    assert!(enough > 200 && short > 20, "{enough} with enough capacity, {short} without");
}

#[test]
fn allocation_beats_one_type_and_the_lowest_price() {
    let total = |policy| {
        let (mut useful, mut wanted, mut cost) = (0.0, 0.0, 0.0);
        for made in (0..200).map(|seed| simulate(seed, policy, 24)) {
            useful += made.useful;
            wanted += 24.0 * f64::from(made.count);
            cost += made.cost;
        }
        (useful / wanted, cost / useful)
    };
    let balanced = total(Policy::Allocated(Spread::Balanced));
    for other in [Policy::OneType, Policy::LowestPrice] {
        let theirs = total(other);
        assert!(balanced.0 > theirs.0, "{other:?} fulfils more: {theirs:?}, balanced {balanced:?}");
        assert!(balanced.1 < theirs.1, "{other:?} costs less: {theirs:?}, balanced {balanced:?}");
    }
}
