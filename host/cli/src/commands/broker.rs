//! `tidegate broker`: the embedded broker alone.

use std::net::SocketAddr;

use clap::Args;

use super::DataDirArg;
use crate::app;
use crate::failure::Failure;
use crate::output::say;
use crate::shutdown::Shutdown;

/// One node, no authentication, loopback only: for development and tests. Keeps its records in DIR/broker.
#[derive(Debug, Args)]
pub(crate) struct Broker {
    /// Where to listen; a loopback address.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9092")]
    listen: SocketAddr,
    #[command(flatten)]
    data: DataDirArg,
}

impl Broker {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        app::check_port_free(self.listen)?;
        let shutdown = Shutdown::listen()?;
        let broker = app::start_broker(self.listen, self.data.data_dir.join("broker"))?;
        say("embedded development broker, not for production")?;
        say(format_args!("Kafka  {}", broker.address()))?;
        shutdown.wanted().await;
        broker.stop().await;
        Ok(())
    }
}
