"""A small, honest web shop to hurt: a front that balances, three web replicas, a store behind a link."""
