"""The project's measuring tools: generated pictures, a fast local instance, load client, peer set-up and the runs."""
