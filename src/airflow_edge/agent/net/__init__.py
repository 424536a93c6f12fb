"""HTTP to the centre: keys, proxies, certificates, clocks, and what an answer means."""
