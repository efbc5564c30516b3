"""What a monitoring system asks: metrics and health. No REST framework is needed; see ``ops_urls``."""
