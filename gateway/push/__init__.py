"""Push: senders for web push, FCM and APNs, and who is online."""
